package watch

import (
	"context"
	"iter"

	"github.com/getcd/getcd/kv"
)

func (s *service) Responses(ctx context.Context, key string, opts ...kv.OpOption) iter.Seq2[WatchResponse, error] {
	return s.responses(ctx, kv.OpWatch(key, opts...), identity{})
}

func (s *service) responses(ctx context.Context, op kv.Op, seen identity) iter.Seq2[WatchResponse, error] {
	return func(yield func(WatchResponse, error) bool) {
		if ctx == nil {
			yield(WatchResponse{}, errNoContext("Watch"))
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel() // ends the watch when the loop does
		w, err := s.begin(ctx, op, nil, seen)
		if err != nil {
			yield(WatchResponse{}, err)
			return
		}
		for {
			resp, err := w.receive()
			if !yield(resp, err) || err != nil {
				return
			}
		}
	}
}

func (s *service) Events(ctx context.Context, key string, opts ...kv.OpOption) iter.Seq2[*Event, error] {
	return func(yield func(*Event, error) bool) {
		for resp, err := range s.Responses(ctx, key, opts...) {
			if err != nil {
				yield(nil, err)
				return
			}
			for _, e := range resp.Events {
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}
