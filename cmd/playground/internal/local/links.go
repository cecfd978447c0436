package local

import (
	"errors"

	"github.com/getcd/getcd/integration/proxy"
)

// Links are proxies before the members, for one client alone.
type Links []*proxy.Link

// Links makes a link to each member, as the members are now. They end with Close.
func (c *Cluster) Links() (Links, error) {
	var ls Links
	for _, m := range c.Members.Members() {
		l, err := proxy.New(proxy.Config{Target: m.Endpoint()})
		if err != nil {
			return nil, errors.Join(err, ls.Close())
		}
		ls = append(ls, l)
	}
	return ls, nil
}

// Endpoints are where the client finds the links.
func (ls Links) Endpoints() []string {
	var out []string
	for _, l := range ls {
		out = append(out, l.Address())
	}
	return out
}

// Blackhole swallows all bytes, in both directions.
func (ls Links) Blackhole() error { return ls.each((*proxy.Link).Blackhole) }

// Heal undoes Blackhole.
func (ls Links) Heal() error { return ls.each((*proxy.Link).Heal) }

// Close ends the links, and what is open on them.
func (ls Links) Close() error { return ls.each((*proxy.Link).Close) }

func (ls Links) each(f func(*proxy.Link) error) error {
	var errs []error
	for _, l := range ls {
		errs = append(errs, f(l))
	}
	return errors.Join(errs...)
}
