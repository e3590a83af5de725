package unio

import "fmt"

// checkMessage is check for the operations between peers.
func (r *Request) checkMessage(dev *Device) error {
	allowed := messageFlags
	switch r.Op {
	case OpRecv:
		allowed = 0 // whatever came before it, it takes the next message, and says so
	case OpSend:
		allowed |= Invalidate
	}
	switch {
	case !dev.ops.Has(r.Op):
		return r.refuse(dev, ErrUnsupported, "the device offers "+dev.ops.String())
	case r.Flags&^allowed != 0:
		return r.refuse(dev, ErrInvalid, "the operation takes no flags "+(r.Flags&^allowed).String())
	case r.Flags&Invalidate != 0:
		if err := r.checkInvalidated(dev); err != nil {
			return err
		}
	case r.Region != nil:
		return r.refuse(dev, ErrInvalid, "a message names a region only to Invalidate it: leave Region nil")
	}
	if err := r.checkMessageMemory(dev); err != nil {
		return err
	}
	if limit := dev.info.MaxMessage; r.Op == OpSend && r.size() > limit {
		return r.refuse(dev, ErrOutOfRange, fmt.Sprintf("the peer takes messages of at most %d bytes", limit))
	}
	return nil
}

func (r *Request) checkInvalidated(dev *Device) error {
	switch reg := r.Region; {
	case reg == nil:
		return r.refuse(dev, ErrInvalid, "no region to Invalidate")
	case reg.dev != dev:
		return r.refuse(dev, ErrInvalid, foreign(reg))
	case reg.revoked.Load():
		return r.refuse(dev, ErrRevoked, "")
	}
	return nil
}

func (r *Request) checkMessageMemory(dev *Device) error {
	switch {
	case r.Op == OpImmediate && (r.Vec != nil || len(r.Data) != 0):
		return r.refuse(dev, ErrInvalid, "the operation takes no memory: its 8 bytes are in Swap")
	case r.Vec != nil:
		return r.checkVec(dev)
	}
	return nil
}
