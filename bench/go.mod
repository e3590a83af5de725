// Module bench compares unio with what people use today. It is a module of
// its own so that unio's users never see what it needs.
module github.com/unio-stack/unio/bench

go 1.26.0

require (
	github.com/unio-stack/unio v0.0.0
	golang.org/x/sys v0.49.0
)

replace github.com/unio-stack/unio => ../
