package cookbook_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func TestObserved(t *testing.T) {
	k, ca := cookSecure(t, examples, "observed")
	password := filepath.Join(t.TempDir(), "password")
	file := filepath.Join(t.TempDir(), "client.yaml")
	for name, text := range map[string]string{
		password: "secret\n",
		file: fmt.Sprintf("endpoints: [https://%s]\ntrusted-ca-file: %s\nusername: root\npassword-file: %s\n",
			strings.Join(trimmed(k.cluster.Endpoints()), ", https://"), ca, password),
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := k.start(file)
	url := "http://" + p.word("listening on ")
	ready := func() bool {
		var state struct {
			Ready bool `json:"ready"`
		}
		if err := json.Unmarshal([]byte(k.get(url+"/ready")), &state); err != nil {
			t.Fatal(err)
		}
		return state.Ready
	}
	k.eventually("it is ready", func() bool { return ready() })
	puts := func() int {
		m := regexp.MustCompile(`getcd_client_calls_total\{[^}]*grpc_method="Put"[^}]*outcome="ok"\} (\d+)`).FindStringSubmatch(k.get(url + "/metrics"))
		if m == nil {
			return 0
		}
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	k.eventually("10 puts are counted", func() bool { return puts() >= 10 })
	proceed := k.stall()
	before := puts()
	k.eventually("20 more are counted under the fault", func() bool { return puts() >= before+20 })
	k.eventually("it is ready again", func() bool { return ready() })
	proceed()
	p.stop()
}

// trimmed are endpoints without their scheme.
func trimmed(endpoints []string) []string {
	var out []string
	for _, e := range endpoints {
		out = append(out, strings.TrimPrefix(e, "https://"))
	}
	return out
}
