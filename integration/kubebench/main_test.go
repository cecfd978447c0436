package main

import (
	"context"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSum(t *testing.T) {
	const page = `# HELP a_total Something.
a_total{grpc_service="KV",grpc_type="unary"} 3
a_total{grpc_service="KV",grpc_type="bidi_stream"} 1.5
a_total{grpc_service="Lease",grpc_type="unary"} 4
a_total_of_another 100
b 7
`
	for _, tt := range []struct {
		metric, label string
		want          float64
	}{
		{"a_total", "", 8.5},
		{"a_total", `grpc_type="unary"`, 7},
		{"a_total", `grpc_service="KV"`, 4.5},
		{"b", "", 7},
		{"c", "", 0},
	} {
		if got := sum([]byte(page), tt.metric, tt.label); got != tt.want {
			t.Errorf("%s with %q: %v, want %v", tt.metric, tt.label, got, tt.want)
		}
	}
}

func TestTable(t *testing.T) {
	r := result{Client: "getcd", Fault: "kill", Role: "leader", Kinds: map[string]row{"get": {Done: 5, Failed: 1, Longest: 1.25}}}
	if got, want := table([]result{r}), "| kill of a leader | getcd | 0 / 0.0 s | 0 / 0.0 s | 1 / 1.2 s | 0 / 0.0 s | 0 / 0.0 s | 0 / 0.0 s | 0 |\n"; !strings.HasSuffix(got, want) {
		t.Errorf("got\n%s\nwant it to end with\n%s", got, want)
	}
}

func TestFlags(t *testing.T) {
	for want, args := range map[string][]string{
		"no -server":    nil,
		"name=path":     {"-server", "path"},
		"want kill":     {"-server", "a=b", "-faults", "flood"},
		"of a follower": {"-server", "a=b", "-roles", "learner"},
	} {
		if err := run(context.Background(), args); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error with %q", args, err, want)
		}
	}
}
