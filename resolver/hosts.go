package resolver

import (
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// systemHosts returns the path of the machine's hosts(5) file.
func systemHosts() string {
	if runtime.GOOS == "windows" {
		return filepath.Join(os.Getenv("SystemRoot"), "System32", "drivers", "etc", "hosts")
	}
	return "/etc/hosts"
}

// lookupHosts returns the addresses of name in the hosts file at path. It reads
// the file each time, since the file is small and may have changed. If the file
// does not exist, there are no addresses.
func lookupHosts(path, name string) []netip.Addr {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	name = strings.TrimSuffix(name, ".")
	var ips []netip.Addr
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		ip, err := parseIP(fields[0])
		if err != nil {
			continue
		}
		for _, n := range fields[1:] {
			if strings.EqualFold(strings.TrimSuffix(n, "."), name) {
				ips = append(ips, ip)
			}
		}
	}
	return sortIPs(dialable(ips))
}
