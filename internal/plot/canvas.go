package plot

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
)

// A canvas collects SVG elements.
type canvas struct{ b bytes.Buffer }

// style colours by class, once for light and once for dark.
const style = `
text { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; font-size: 12px; fill: #1f2328 }
.paper { fill: #ffffff } .title { font-size: 19px; font-weight: 600 } .head { font-size: 13px; font-weight: 600 }
.muted { fill: #59636e } .grid { stroke: #d8dee4; stroke-width: 1 } .axis { stroke: #8c959f; stroke-width: 1 }
.a { stroke: #1f6feb; fill: none; stroke-width: 1.8; stroke-linejoin: round } .afill { fill: #1f6feb; fill-opacity: 0.16 }
.b { stroke: #bc4c00; fill: none; stroke-width: 1.8; stroke-linejoin: round } .mark { stroke: #bc4c00; stroke-width: 1.2; stroke-dasharray: 4 3 }
.atext { fill: #1f6feb } .btext { fill: #bc4c00 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .paper { fill: #0d1117 } .muted { fill: #9198a1 } .grid { stroke: #2a313c } .axis { stroke: #656c76 }
.a { stroke: #58a6ff } .afill { fill: #58a6ff } .b { stroke: #f0883e } .mark { stroke: #f0883e }
.atext { fill: #58a6ff } .btext { fill: #f0883e }
}
`

func (c *canvas) open(bottom int, title, description string) {
	fmt.Fprintf(&c.b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-labelledby="t d">`+"\n",
		width, bottom, width, bottom)
	fmt.Fprintf(&c.b, "<title id=\"t\">%s</title>\n<desc id=\"d\">%s</desc>\n<style>%s</style>\n", escape(title), escape(description), style)
	fmt.Fprintf(&c.b, `<rect class="paper" width="%d" height="%d"/>`+"\n", width, bottom)
}

func (c *canvas) close() { c.b.WriteString("</svg>\n") }

// text writes s at x, y; anchor is start, middle or end.
func (c *canvas) text(x, y float64, class, anchor, s string) {
	fmt.Fprintf(&c.b, `<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>`+"\n", x, y, class, anchor, escape(s))
}

func (c *canvas) line(x1, y1, x2, y2 float64, class string) {
	fmt.Fprintf(&c.b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>`+"\n", x1, y1, x2, y2, class)
}

// A spot is a place on the canvas.
type spot struct{ x, y float64 }

// curve joins the spots.
func (c *canvas) curve(spots []spot, class string) {
	fmt.Fprintf(&c.b, `<path class="%s" d="%s"/>`+"\n", class, path(spots))
}

// area fills what is between the spots and the level base.
func (c *canvas) area(spots []spot, base float64, class string) {
	first, last := spots[0], spots[len(spots)-1]
	fmt.Fprintf(&c.b, `<path class="%s" d="%s L%.1f %.1f L%.1f %.1f Z"/>`+"\n", class, path(spots), last.x, base, first.x, base)
}

func path(spots []spot) string {
	var b strings.Builder
	for i, s := range spots {
		fmt.Fprintf(&b, "%c%.1f %.1f ", "ML"[min(i, 1)], s.x, s.y)
	}
	return strings.TrimRight(b.String(), " ")
}

func escape(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a Buffer takes everything
	return b.String()
}
