package attempt_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/getcd/getcd/internal/attempt"
)

// place is a Connection that notes what it is told.
type place struct {
	name     string
	life     context.Context //nolint:containedctx // the test's
	arrived  uint64
	messages int
	expected int
	member   uint64
}

func (p *place) Endpoint() string         { return p.name + "#2" }
func (p *place) Address() string          { return p.name }
func (p *place) Life() context.Context    { return p.life }
func (p *place) Arrived() uint64          { return p.arrived }
func (p *place) Proven() bool             { return p.member != 0 }
func (p *place) Received()                { p.messages++ }
func (p *place) Expect()                  { p.expected++ }
func (p *place) Observe(member, _ uint64) { p.member = member }

// An Attempt tells where it went as long as it is there, and passes on what its caller
// says. What was sent stays sent when another connection is picked, unless nothing has left.
func TestAttemptAtAConnection(t *testing.T) {
	a := &attempt.Attempt{}
	a.Received()
	a.Expect()
	a.Observe(1, 1)
	if a.Endpoint() != "" || a.Address() != "" || a.Life() != context.Background() || a.Arriving() || a.Proven() {
		t.Error("an attempt that went nowhere says that it went somewhere")
	}
	life, end := context.WithCancel(t.Context())
	p := &place{name: "a", life: life, arrived: 5000}
	a.Pick(p)
	a.Received()
	a.Expect()
	a.Observe(7, 1)
	if a.Endpoint() != "a#2" || a.Address() != "a" || p.messages != 1 || p.expected != 1 || p.member != 7 || !a.Proven() {
		t.Errorf("got %q at %q and %+v, want a#2 at a, and one of each", a.Endpoint(), a.Address(), p)
	}
	if end(); a.Life().Err() == nil {
		t.Error("its life goes on when the connection's has ended")
	}
	for _, step := range []struct {
		bytes uint64
		want  bool
	}{{0, false}, {1023, false}, {1024, true}, {0, false}} {
		p.arrived += step.bytes
		if got := a.Arriving(); got != step.want {
			t.Errorf("after %d more bytes Arriving is %v, want %v", step.bytes, got, step.want)
		}
	}
	a.Send()
	a.Hear()
	if a.Pick(&place{name: "b"}); !a.Sent() || !a.Heard() || a.Address() != "b" {
		t.Error("what was sent elsewhere is forgotten by a second pick")
	}
	if a.Unpick(); a.Sent() || a.Heard() || a.Address() != "" {
		t.Error("an attempt of which nothing has left says that something has")
	}
}

// An attempt is given up once, by what its caller has given to cancel it.
func TestGivenUp(t *testing.T) {
	cause := errors.New("no answer")
	a := &attempt.Attempt{}
	if a.GiveUp(cause) || a.GivenUp() != nil {
		t.Error("it was given up without anything to cancel it by")
	}
	canceled := 0
	a.Cancel = func() { canceled++ }
	if !a.GiveUp(cause) || !errors.Is(a.GivenUp(), cause) || canceled != 1 {
		t.Errorf("got %v and %d cancellations, want %v and one", a.GivenUp(), canceled, cause)
	}
	a.Begin()
	a.Send()
	a.SetOnly(true)
	if !a.Begun() || !a.BegunOnce() || !a.Only() {
		t.Error("a result is forgotten")
	}
	if a.Begin(); !a.Begun() || a.BegunOnce() {
		t.Error("two RPCs count as one")
	}
	if a.Reset(); a.GivenUp() != nil || a.Begun() || a.Sent() || a.Only() {
		t.Error("a result outlives Reset")
	}
}

// Whoever carries an RPC that has no Attempt may say all the same what it does.
func TestNoAttempt(t *testing.T) {
	a := attempt.FromContext(t.Context())
	a.Pick(&place{})
	a.Send()
	a.Hear()
	a.Unpick()
	if a.Avoids("a") || a.GiveUp(errors.New("x")) {
		t.Error("no attempt wishes for something")
	}
	want := &attempt.Attempt{Avoid: []string{"a"}}
	if got := attempt.FromContext(attempt.NewContext(t.Context(), want)); got != want || !got.Avoids("a") || got.Avoids("b") {
		t.Errorf("got %v, want %v", got, want)
	}
}

// When all endpoints have been avoided in vain, the list starts over.
func TestAvoidance(t *testing.T) {
	var l attempt.Avoidance
	for _, s := range []struct {
		add  string
		want []string
	}{{"", nil}, {"a", []string{"a"}}, {"b", []string{"a", "b"}}, {"a", []string{"a"}}} {
		if l.Add(s.add); !slices.Equal(l, s.want) {
			t.Errorf("with %q: got %v, want %v", s.add, l, s.want)
		}
	}
}
