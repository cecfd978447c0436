package gateway

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/connectivity"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/internal/attempt"
)

// prefix is what the schemes of gateways begin with, among other endpoints.
const prefix = "gateway+"

const form = "write gateway+http://host:port or gateway+https://host:port, with the path that a proxy has put before /v3, if any"

// IsEndpoint reports whether an endpoint is one of this package: whether its scheme
// begins with "gateway+".
func IsEndpoint(uri string) bool {
	return len(uri) >= len(prefix) && strings.EqualFold(uri[:len(prefix)], prefix)
}

// endpoint is one base URL under which a gateway is.
type endpoint struct {
	name string // as in balancer.Status
	base string // without a slash at its end

	version  atomic.Int32 // which of versions it has
	answered atomic.Bool  // as a gateway does, at least once

	// Guarded by Conn.mu.
	status balancer.Status
}

// parse makes an endpoint of a URI. Its errors don't repeat what may be a password.
func parse(uri string) (*endpoint, error) {
	raw := uri
	if IsEndpoint(uri) {
		raw = uri[len(prefix):]
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		ue, _ := errors.AsType[*url.Error](err)
		if ue != nil {
			err = ue.Err
		}
		return nil, fmt.Errorf("gateway: an endpoint is no URI (%w): %s", err, form)
	case u.User != nil:
		return nil, fmt.Errorf("gateway: the endpoint %q takes no credentials: give user and password, or a token, in the client's configuration", u.Redacted())
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("gateway: the endpoint %q: %s", uri, form)
	case u.Hostname() == "":
		return nil, fmt.Errorf("gateway: the endpoint %q has no host", uri)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, fmt.Errorf("gateway: the endpoint %q has a query or a fragment, which mean nothing here", uri)
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
			return nil, fmt.Errorf("gateway: the endpoint %q: the port is not a number from 1 to 65535", uri)
		}
	}
	base := strings.TrimRight(u.String(), "/") // with a zone, which is escaped again
	e := &endpoint{name: prefix + base, base: base}
	e.status = balancer.Status{Address: e.name, Since: time.Now()}
	return e, nil
}

func parseAll(uris []string) ([]*endpoint, error) {
	var eps []*endpoint
	for _, uri := range uris {
		if uri == "" { // a stray comma leaves it
			continue
		}
		e, err := parse(uri)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(eps, func(o *endpoint) bool { return o.name == e.name }) {
			eps = append(eps, e)
		}
	}
	if len(eps) == 0 {
		return nil, errors.New("gateway: there are no endpoints: name at least one, such as gateway+https://etcd.example.com:2379")
	}
	return eps, nil
}

// SetEndpoints replaces the endpoints. An error says what is wrong with the new ones,
// and changes nothing. Calls under way are not disturbed.
func (c *Conn) SetEndpoints(uris ...string) error {
	eps, err := parseAll(uris)
	if err != nil {
		return err
	}
	if !c.opts.KeepOrder {
		rand.Shuffle(len(eps), func(i, j int) { eps[i], eps[j] = eps[j], eps[i] })
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, e := range eps { // what is known already is kept
		if n := slices.IndexFunc(c.endpoints, func(o *endpoint) bool { return o.name == e.name }); n >= 0 {
			eps[i] = c.endpoints[n]
		}
	}
	c.endpoints = eps
	c.publishLocked()
	return nil
}

// Endpoints returns what is known of each endpoint, in the order in which they are tried.
func (c *Conn) Endpoints() []balancer.Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rowsLocked()
}

// pick chooses the endpoint of an RPC: the first in order that is not to be avoided, or
// the first of all. Nil means that the RPC is of no use there.
func (c *Conn) pick(a *attempt.Attempt) *endpoint {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a == nil {
		return c.endpoints[0]
	}
	for _, e := range c.endpoints {
		if !a.Avoids(e.name) {
			return e
		}
	}
	if a.Elsewhere && len(c.endpoints) > 1 {
		return nil
	}
	return c.endpoints[0] // of which one alone may be that of many members
}

func (c *Conn) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.endpoints)
}

// served notes that an endpoint has answered as a gateway does. member is who it was, or 0.
func (c *Conn) served(e *endpoint, member uint64) {
	e.answered.Store(true)
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &e.status
	if s.State == connectivity.Ready && (member == 0 || s.MemberID == member) {
		return
	}
	if member != 0 {
		s.MemberID = member
	}
	if s.State != connectivity.Ready {
		s.State, s.Since = connectivity.Ready, time.Now()
	}
	c.publishLocked()
}

// failed notes that an endpoint has not: all others come before it from now on.
func (c *Conn) failed(e *endpoint, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.endpoints, e)
	if i < 0 {
		return // replaced
	}
	c.endpoints = append(slices.Delete(c.endpoints, i, i+1), e)
	s := &e.status
	s.LastError = err
	if s.State != connectivity.TransientFailure {
		s.State, s.Since = connectivity.TransientFailure, time.Now()
	}
	c.publishLocked()
}

func (c *Conn) publishLocked() {
	for i, e := range c.endpoints {
		role := balancer.Idle
		if i == 0 {
			role = balancer.Active
		}
		if e.status.Role != role {
			e.status.Role, e.status.Since = role, time.Now()
		}
	}
	if c.opts.Changed != nil {
		c.opts.Changed(c.rowsLocked())
	}
}

func (c *Conn) rowsLocked() []balancer.Status {
	rows := make([]balancer.Status, len(c.endpoints))
	for i, e := range c.endpoints {
		rows[i] = e.status
	}
	return rows
}
