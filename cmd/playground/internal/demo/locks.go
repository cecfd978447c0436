package demo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/cmd/playground/internal/local"
	"github.com/getcd/getcd/lock"
)

// contend lets two clients take turns at one lock.
func (s *stage) contend(ctx context.Context) error {
	const turns = 3
	other, err := s.dial(ctx)
	if err != nil {
		return err
	}
	defer other.Close() //nolint:errcheck // has no error to return
	type turn struct {
		client string
		token  int64
	}
	var (
		mu    sync.Mutex
		taken []turn
		errs  = make(chan error, 2)
	)
	for name, c := range map[string]*client.Client{"A": s.client, "B": other} {
		go func() {
			errs <- func() error {
				m, err := lock.New(c.Conn(), s.prefix+"lock")
				if err != nil {
					return err
				}
				for range turns {
					if err := m.Lock(ctx); err != nil {
						return err
					}
					mu.Lock()
					taken = append(taken, turn{name, m.Token()})
					mu.Unlock()
					if err := m.Unlock(ctx); err != nil {
						return err
					}
				}
				return nil
			}()
		}()
	}
	for range 2 {
		if e := <-errs; e != nil {
			err = e
		}
	}
	if err != nil {
		return err
	}
	var last int64
	for _, t := range taken {
		s.say("client %s holds it with token %d", t.client, t.token)
		if t.token <= last {
			return fmt.Errorf("token %d came after token %d", t.token, last)
		}
		last = t.token
	}
	return nil
}

// loseLock takes a lock's holder off the network and measures which comes first:
// that the holder knows it, or that another client has the lock.
func (s *stage) loseLock(ctx context.Context) error {
	if s.local == nil {
		return fmt.Errorf("%w: it needs links that can be cut", errSkipped)
	}
	const ttl = 3 * time.Second
	holderClient, cut, err := s.dialThroughLinks(ctx)
	if err != nil {
		return err
	}
	defer holderClient.Close() //nolint:errcheck // has no error to return
	defer cut.Close()          //nolint:errcheck // ends what is open; has nothing to tell
	holder, err := lock.New(holderClient.Conn(), s.prefix+"precious", lock.WithTTL(ttl))
	if err != nil {
		return err
	}
	if err := holder.Lock(ctx); err != nil {
		return err
	}
	s.say("the holder has token %d, and a lease of %v", holder.Token(), ttl)
	waiter, err := lock.New(s.client.Conn(), s.prefix+"precious", lock.WithTTL(ttl))
	if err != nil {
		return err
	}
	acquired := make(chan error, 1)
	var acquiredAt time.Time
	go func() {
		err := waiter.Lock(ctx)
		acquiredAt = time.Now()
		acquired <- err
	}()
	s.say("its links are black holes from now on; another client waits")
	start := time.Now()
	if err := cut.Blackhole(); err != nil {
		return err
	}
	done := holder.Done()
	select {
	case <-done:
	case <-ctx.Done():
		return ctx.Err()
	}
	knew := time.Now()
	s.say("after %v the holder knows that its lock can no longer be proven: %v", round(knew.Sub(start)), holder.Err())
	if err := <-acquired; err != nil {
		return err
	}
	s.say("after %v the other client has it, with token %d", round(acquiredAt.Sub(start)), waiter.Token())
	if err := waiter.Unlock(ctx); err != nil {
		return err
	}
	if !knew.Before(acquiredAt) {
		return fmt.Errorf("for %v two clients thought that they had the lock", knew.Sub(acquiredAt))
	}
	s.say("for %v nobody held it", round(acquiredAt.Sub(knew)))
	return nil
}

// dialThroughLinks returns a client whose links to the members can be cut.
func (s *stage) dialThroughLinks(ctx context.Context) (*client.Client, local.Links, error) {
	links, err := s.local.Links()
	if err != nil {
		return nil, nil, err
	}
	c, err := client.Dial(ctx, client.Config{Endpoints: links.Endpoints()})
	if err != nil {
		return nil, nil, errors.Join(err, links.Close())
	}
	return c, links, nil
}
