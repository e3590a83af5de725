package unio

// vecSize returns the number of bytes in vec.
func vecSize(vec [][]byte) (n int64) {
	for _, p := range vec {
		n += int64(len(p))
	}
	return n
}

// cutVec appends the n bytes of vec from pos on to dst.
func cutVec(dst, vec [][]byte, pos, n int64) [][]byte {
	for _, p := range vec {
		if pos >= int64(len(p)) {
			pos -= int64(len(p))
			continue
		}
		p = p[pos:min(pos+n, int64(len(p)))]
		dst, pos, n = append(dst, p), 0, n-int64(len(p))
		if n == 0 {
			break
		}
	}
	return dst
}

// gather copies bytes of the request's memory, from pos on, into dst.
func gather(dst []byte, r *Request, pos int64) {
	if r.Vec == nil {
		copy(dst, r.Data[pos:])
		return
	}
	for _, p := range r.Vec {
		if pos >= int64(len(p)) {
			pos -= int64(len(p))
			continue
		}
		n := copy(dst, p[pos:])
		dst, pos = dst[n:], 0
		if len(dst) == 0 {
			return
		}
	}
}

// scatter copies src into the request's memory from pos on.
func scatter(r *Request, pos int64, src []byte) {
	if r.Vec == nil {
		copy(r.Data[pos:], src)
		return
	}
	for _, p := range r.Vec {
		if pos >= int64(len(p)) {
			pos -= int64(len(p))
			continue
		}
		n := copy(p[pos:], src)
		src, pos = src[n:], 0
		if len(src) == 0 {
			return
		}
	}
}
