package gateway_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/getcd/getcd/gateway"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// limit bounds what a test waits for; it is meant to be reached by no machine.
const limit = 30 * time.Second

func timeout(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// serve returns a connection to a server with that handler.
func serve(t *testing.T, h http.HandlerFunc) *gateway.Conn {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return connect(t, gateway.Options{KeepOrder: true}, s.URL)
}

func connect(t *testing.T, o gateway.Options, endpoints ...string) *gateway.Conn {
	t.Helper()
	c, err := gateway.New(endpoints, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return c
}

// reply answers as a server does.
func reply(w http.ResponseWriter, status int, contentType, body string) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}

// say answers with JSON, and lets it go at once.
func say(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(body + "\n"))
	_ = http.NewResponseController(w).Flush()
}

// body reads the JSON of a request. A call that has ended may leave one half sent, which
// nobody answers.
func body(t *testing.T, r *http.Request) map[string]any {
	t.Helper()
	sent, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	var m map[string]any
	if err := json.Unmarshal(sent, &m); err != nil {
		t.Errorf("%s: the request is no JSON: %v", r.URL.Path, err)
	}
	return m
}
