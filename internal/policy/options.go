package policy

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"

	"google.golang.org/grpc/attributes"
	"google.golang.org/grpc/resolver"

	"github.com/getcd/getcd/balancer"
	getcdresolver "github.com/getcd/getcd/resolver"
)

// Options is what a client gives its policy.
type Options struct {
	Table  *Table       // where to publish; not nil
	Logger *slog.Logger // not nil; one record per transition, none per call

	Routing balancer.Routing

	// Sign returns ctx with the user's token, and reports whether there is one. It must not
	// block. Only members that have said that they are of the cluster get to see it. Nil means
	// that there is none.
	Sign func(ctx context.Context) (_ context.Context, ok bool)

	// Patience is for how long a call that must not be sent again (Attempt.Once) may wait
	// on a member that is silent or can't serve, while another one can. 0 means 2 s.
	Patience time.Duration
	// Pulse is for how long a connection that has only calls that may wait long can be
	// silent, before its member is asked for a linearizable read. 0 means 1 s; a negative
	// value means never.
	Pulse time.Duration
	// Pings is after how long without a byte gRPC pings a connection. 0 means never. See
	// calm.go.
	Pings time.Duration
	// Cluster is the ID of the only cluster whose members are used. 0 means that of the
	// first member that answers, unless AnyCluster is set.
	Cluster    uint64
	AnyCluster bool
	// OneMember says that the only address leads to a single member. It is connected to
	// once, and not asked who it is.
	OneMember bool
}

func (o *Options) patience() time.Duration { return cmp.Or(o.Patience, DefaultPatience) }

func (o *Options) pulse() time.Duration { return cmp.Or(o.Pulse, time.Second) }

type optionsKey struct{}

// Attach returns s with o in its attributes, which is how the resolver passes the client's
// options to the policy. It calls Routing.Prefer here, in the resolver's goroutine, because
// nothing else waits for that goroutine.
func Attach(s resolver.State, o Options) resolver.State {
	s.Attributes = with(s.Attributes, optionsKey{}, o)
	if o.Routing.Prefer == nil {
		return s
	}
	s.Endpoints = slices.Clone(s.Endpoints)
	for i, e := range s.Endpoints {
		s.Endpoints[i].Addresses = rank(o, e.Addresses)
	}
	s.Addresses = rank(o, s.Addresses)
	return s
}

type rankKey struct{}

// ranking is a rank, and for which member it holds; 0 if none was known.
type ranking struct {
	rank   int
	member uint64
}

// everyone reports whether all members are to be connected.
func everyone(r balancer.Routing) bool { return r.SpreadReads || r.WritesToLeader }

// rank returns addrs with their ranks in their attributes.
func rank(o Options, addrs []resolver.Address) []resolver.Address {
	addrs = slices.Clone(addrs)
	for i, a := range addrs {
		e := describe(a)
		e.MemberID, e.MemberName = o.Table.behind(a)
		addrs[i].Attributes = with(a.Attributes, rankKey{}, ranking{o.Routing.Prefer(e), e.MemberID})
	}
	return addrs
}

// describe returns what is known of an address without its member.
func describe(addr resolver.Address) balancer.Endpoint {
	e := balancer.Endpoint{Address: addr.Addr}
	if a, ok := getcdresolver.FromGRPC(addr); ok {
		e.Target, e.Priority, e.Weight = a.Target, a.Priority, a.Weight
	}
	return e
}

func with(a *attributes.Attributes, key, value any) *attributes.Attributes {
	if a == nil {
		return attributes.New(key, value)
	}
	return a.WithValue(key, value)
}
