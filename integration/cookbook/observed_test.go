package cookbook_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/getcd/getcd/integration/certs"
)

func TestObserved(t *testing.T) {
	t.Parallel()
	t.Run("getcd", func(t *testing.T) { observe(t, examples, "getcd_client_calls_total") })
	t.Run("clientv3", func(t *testing.T) { observe(t, clientv3, "observed_calls_total") })
}

// observe runs one of the two. calls is the name of its metric.
func observe(t *testing.T, dir, calls string) {
	t.Helper()
	k, ca := cookSecure(t, dir, "observed")
	password := filepath.Join(t.TempDir(), "password")
	file := filepath.Join(t.TempDir(), "client.yaml")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	settings := fmt.Sprintf("endpoints: [https://%s]\ntrusted-ca-file: %s\nusername: root\npassword-file: %s\n",
		strings.Join(trimmed(k.cluster.Endpoints()), ", https://"), ca, password)
	write(password, "secret\n")
	write(file, settings+"dial-timeuot: 5s\n")
	if out, err := k.do(file); err == nil || !strings.Contains(out, "dial-timeuot") {
		t.Errorf("an unknown key: %v, %s", err, out)
	}
	write(file, settings)
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
		m := regexp.MustCompile(calls + `\{[^}]*grpc_method="Put"[^}]*outcome="ok"\} (\d+)`).FindStringSubmatch(k.get(url + "/metrics"))
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
	write(password, "changed")
	if _, err := k.store.UserChangePassword(t.Context(), "root", "changed"); err != nil { // its tokens end, too
		t.Fatal(err)
	}
	before = puts()
	k.eventually("20 more are counted with the new password", func() bool { return puts() >= before+20 })
	replaceAuthority(t, filepath.Dir(ca))
	for _, m := range k.cluster.Members() {
		if err := errors.Join(m.Kill(), m.Restart(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	before = puts()
	k.eventually("20 more are counted with the new CA", func() bool { return puts() >= before+20 })
	p.stop()
}

// replaceAuthority puts those of another authority in the place of the files of cookSecure.
func replaceAuthority(t *testing.T, dir string) {
	t.Helper()
	other := t.TempDir()
	authority, err := certs.New(other)
	if err == nil {
		_, err = authority.Server("localhost", "127.0.0.1")
	}
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(other, "*"))
	if err != nil || len(files) != 3 {
		t.Fatalf("%q, %v; want a CA, a certificate and a key", files, err)
	}
	for _, file := range files {
		name := filepath.Join(dir, filepath.Base(file))
		if _, err := os.Stat(name); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file, name); err != nil {
			t.Fatal(err)
		}
	}
}

// trimmed are endpoints without their scheme.
func trimmed(endpoints []string) []string {
	var out []string
	for _, e := range endpoints {
		out = append(out, strings.TrimPrefix(e, "https://"))
	}
	return out
}
