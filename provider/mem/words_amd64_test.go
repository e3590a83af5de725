package mem

import "testing"

// TestWordsSSE does what TestWords does, as a processor without AVX would.
func TestWordsSSE(t *testing.T) {
	defer func(was bool) { hasAVX = was }(hasAVX)
	hasAVX = false
	checkWords(t)
}
