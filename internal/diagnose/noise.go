package diagnose

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/unio-stack/unio/internal/memory"
)

func (h *Host) persistence() Finding {
	if name := memory.WriteBackInstruction(); name != "" {
		return Finding{"persistent memory", OK, name + " writes processor caches back without a system call", ""}
	}
	return Finding{"persistent memory", Warn, "this processor has no instruction to write its caches back", "msync is used instead, which is slower"}
}

// governor: a processor that saves power takes long to wake and runs slowly.
func (h *Host) governor() (Finding, bool) {
	const dir = "sys/devices/system/cpu/cpu0/cpufreq/"
	g := h.text(dir + "scaling_governor")
	switch g {
	case "":
		return Finding{}, false // a virtual machine does not see it
	case "performance":
		return Finding{"processor speed", OK, "governor performance", ""}, true
	case "schedutil":
		return Finding{"processor speed", OK, "governor schedutil; performance gives steadier latencies", ""}, true
	}
	return Finding{"processor speed", Warn, "governor " + g, "for steady latencies, as root: cpupower frequency-set -g performance"}, true
}

// clock: some clock sources need a system call, or leave the virtual machine,
// for each reading.
func (h *Host) clock() (Finding, bool) {
	c := h.text("sys/devices/system/clocksource/clocksource0/current_clocksource")
	switch c {
	case "":
		return Finding{}, false
	case "tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page":
		return Finding{"clock", OK, c, ""}, true
	}
	return Finding{"clock", Warn, c + " is slow to read", "boot with clocksource=tsc if the machine's is stable (dmesg says)"}, true
}

// load: measurements beside other work are not worth much.
func (h *Host) load() (Finding, bool) {
	f := strings.Fields(h.text("proc/loadavg"))
	if len(f) == 0 {
		return Finding{}, false
	}
	load, err := strconv.ParseFloat(f[0], 64)
	if err != nil {
		return Finding{}, false
	}
	detail := fmt.Sprintf("load %.2f on %d processors", load, h.CPUs)
	if load > 0.7*float64(h.CPUs) {
		return Finding{"other work", Warn, detail, "measure when the machine has nothing else to do (top shows what it does)"}, true
	}
	return Finding{"other work", OK, detail, ""}, true
}

// cpuQuota: a container whose time is up stands still until the next period.
func (h *Host) cpuQuota() (Finding, bool) {
	f := strings.Fields(h.cgroup("cpu.max"))
	if len(f) != 2 || f[0] == "max" {
		return Finding{}, false
	}
	quota, _ := strconv.ParseFloat(f[0], 64)
	period, _ := strconv.ParseFloat(f[1], 64)
	if quota <= 0 || period <= 0 {
		return Finding{}, false
	}
	return Finding{
		"processor quota", Warn, fmt.Sprintf("this control group may use %.2f processors and is stopped when that is used up", quota/period),
		"latencies will have gaps of tens of milliseconds: give it whole processors (cpuset) or no limit",
	}, true
}

// ioLimit: the control group's disk I/O is held back.
func (h *Host) ioLimit() (Finding, bool) {
	limit := h.cgroup("io.max")
	if limit == "" {
		return Finding{}, false
	}
	return Finding{"I/O limit", Warn, "this control group's I/O is limited: " + strings.ReplaceAll(limit, "\n", "; "), "lift io.max of its control group"}, true
}

// cgroup reads a file of the process's control group (version 2), "" if it is
// not there.
func (h *Host) cgroup(name string) string {
	for line := range strings.Lines(h.text("proc/self/cgroup")) {
		if path, found := strings.CutPrefix(strings.TrimSpace(line), "0::/"); found {
			if path != "" {
				path += "/"
			}
			return h.text("sys/fs/cgroup/" + path + name)
		}
	}
	return ""
}

// pollQueues: NVMe can be polled for completions only if the driver was loaded
// with queues for that.
func (h *Host) pollQueues() (Finding, bool) {
	n, found := h.number("sys/module/nvme/parameters/poll_queues")
	if !found {
		return Finding{}, false
	}
	if n == 0 {
		return Finding{"NVMe polling", OK, "no poll queues, so iopoll=on does not work; boot with nvme.poll_queues=N to have them", ""}, true
	}
	return Finding{"NVMe polling", OK, fmt.Sprintf("%d poll queues for iopoll=on", n), ""}, true
}
