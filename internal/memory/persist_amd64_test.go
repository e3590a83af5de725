package memory

import (
	"testing"
	"unsafe"
)

// TestEveryWriteBackLoop runs the loops that this processor has but did not
// choose.
func TestEveryWriteBackLoop(t *testing.T) {
	mem := mustAlloc(t, 4096).Bytes()
	mem[4095] = 1
	loops := map[string]func(unsafe.Pointer, uintptr, uintptr){"CLFLUSH": linesCLFLUSH}
	if highest, _, _, _ := cpuid(0, 0); highest >= 7 {
		_, features, _, _ := cpuid(7, 0)
		if features&cpuidCLFLUSHOPT != 0 {
			loops["CLFLUSHOPT"] = linesCLFLUSHOPT
		}
		if features&cpuidCLWB != 0 {
			loops["CLWB"] = linesCLWB
		}
	}
	for name, lines := range loops {
		lines(unsafe.Pointer(&mem[1]), 4095, cacheLine)
		fence()
		if mem[4095] != 1 {
			t.Errorf("%s changed the content", name)
		}
	}
	if WriteBackInstruction() != noInstruction && loops[WriteBackInstruction()] == nil {
		t.Errorf("chose %s, which the processor lacks", WriteBackInstruction())
	}
}
