package config_test

import (
	"strings"
	"testing"

	"github.com/getcd/getcd/config"
)

// Whatever a file or a variable has, there is a configuration or an error that says where.
func FuzzParse(f *testing.F) {
	f.Add("endpoints: [http://a:1, b]\ntrusted-ca-file: ca\ndial-timeout: 5s\n", "GETCD_TOKEN=t")
	f.Add("a: &x [1, {b: *x}]\n<<: *x\nusername: !!binary aGk=\n---\n", "ETCDCTL_USER=a:b")
	f.Add("? [complex]\n: key\ncluster-id: 0x\n", "ETCDCTL_=")
	f.Fuzz(func(t *testing.T, text, variable string) {
		_, err := config.Parse("f", []byte(text), []string{variable})
		if err == nil {
			return
		}
		for line := range strings.SplitSeq(err.Error(), "\nconfig: ") {
			line = strings.TrimPrefix(line, "config: ")
			if !strings.HasPrefix(line, "f:") && !strings.HasPrefix(line, "GETCD_") && !strings.HasPrefix(line, "ETCDCTL_") {
				t.Errorf("no place in %q of %v", line, err)
			}
		}
	})
}
