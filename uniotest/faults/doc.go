// Package faults is a device around a device that fails as it is told to.
//
// [Wrap] takes rules, one a line, that choose requests and say what happens to
// them:
//
//	write 1/100 error media          # one write in a hundred, at random
//	read after 3 short 512           # every read but the first three
//	any at 4096..8192 delay 5ms      # whatever touches these bytes
//	flush lost                       # flushes do nothing, successfully
//	read nth 7 error nospace         # the seventh read
//
// The grammar, in which words are separated by spaces and # begins a comment:
//
//	rule     = op { filter } action
//	op       = "any" | "read" | "write" | "flush" | "discard" |
//	           "write-zeroes" | "compare-swap" | "fetch-add"
//	filter   = count "/" count             a probability
//	         | "after" count               not the first so many that match
//	         | "nth" count                 only this one of those that match
//	         | "at" bytes ".." bytes       what touches this range; the end is not in it
//	         | "region" name               a word, or a Go string in double quotes
//	         | "unflushed"                 with lost and torn: at a power cut
//	action   = "error" cause
//	         | "delay" duration            as in Go: 5ms, 1.5s
//	         | "short" bytes               at most so many are transferred at a time
//	         | "lost"                      it succeeds and does nothing
//	         | "torn" bytes                a power cut splits it into pieces of so many
//	cause    = "access" | "busy" | "checksum" | "disconnected" | "media" |
//	           "nospace" | "range" | "revoked" | "timeout"
//	bytes    = count [ "KiB" | "MiB" | "GiB" ]
//
// The rules are tried in order on each request that the device receives (the
// steps of requests that the core carries out in several). The first whose
// filters let it through decides; only a delay lets later rules decide too.
// Filters apply in the order operation, range, region, after or nth,
// probability. A request that is delayed holds up no other, and can be
// cancelled.
//
// Rules that take effect at a power cut, those with unflushed or torn, are for
// package crash.
package faults
