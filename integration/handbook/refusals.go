package main

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/wire"
)

// refusal makes a call that has to fail with that error, and lists its frames.
func (p *page) refusal(name, method, request string) (string, error) {
	a, err := p.failing(name, method, request)
	if err != nil {
		return "", err
	}
	return p.listed(a, method, request)
}

// fails makes a call that has to fail with that error of rpctypes, and is a row of a
// table: the error, its code, what provokes it, and why.
func (p *page) fails(name, method, request, why string) (string, error) {
	a, err := p.failing(name, method, request)
	if err != nil {
		return "", err
	}
	return p.row(name, method, request, why, a.err), nil
}

// row is a row of a table of errors.
func (p *page) row(name, method, request, why string, err error) string {
	s := status.Convert(err)
	p.failed = append(p.failed, failure{p.name, name, method, request, s.Code().String(), why})
	return fmt.Sprintf("| [%s](errors.md#%s) | %s | `%s` %s | %s |", s.Message(), anchor(name), s.Code(), method, code("{"+request+"}"), why)
}

// failing makes the call, again and again while it fails with another error.
func (p *page) failing(name, method, request string) (*answered, error) {
	want, ok := rpcErrors[name]
	if !ok {
		return nil, fmt.Errorf("rpctypes has no ErrGRPC%s", name)
	}
	for began := time.Now(); ; {
		a, err := p.invoke(method, request, wire.Options{Format: wire.Frames, Secrets: true})
		if err != nil {
			return nil, err
		}
		if status.Convert(a.err).Message() == status.Convert(want).Message() {
			return a, nil
		}
		if a.err == nil || time.Since(began) > patience {
			return nil, fmt.Errorf("%s {%s}: got %w, want %w", method, request, errOrOK(a.err), want)
		}
		if err := p.moment(); err != nil {
			return nil, err
		}
	}
}

// moment is between two tries.
func (p *page) moment() error {
	select {
	case <-time.After(50 * time.Millisecond):
		return nil
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
}

// answers makes a call that has to fail with that code and text, which are none of
// rpctypes', and is a row of the same table.
func (p *page) answers(codeName, text, method, request, why string) (string, error) {
	a, err := p.invoke(method, request, wire.Options{})
	if err != nil {
		return "", err
	}
	if s := status.Convert(a.err); s.Code().String() != codeName || s.Message() != text {
		return "", fmt.Errorf("%s {%s}: got %w, want %s %s", method, request, errOrOK(a.err), codeName, text)
	}
	return fmt.Sprintf("| %s | %s | `%s` %s | %s |", text, codeName, method, code("{"+request+"}"), why), nil
}

func errOrOK(err error) error {
	if err == nil {
		return errors.New("no error")
	}
	return err
}
