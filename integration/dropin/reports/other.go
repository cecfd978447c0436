package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.etcd.io/etcd/client/v3/naming/endpoints"
)

func otherReports() []report {
	return []report{
		{"kubernetes/kubernetes#138217", "A watch whose events nobody takes does not fill the memory", "", watchThatNobodyReads},
		{"etcd-io/etcd#11963", "A transaction of NewSTM does not fail because a member is behind another one", "", transactionsOnSeveralMembers},
		{"etcd-io/etcd#22085", "DeleteEndpoint deletes endpoints of its own service only, whatever its options are", "", deleteOneEndpoint},
		{"gazette/core#472", "The reason why a watch ends reaches a reader who comes late, too", "", reasonForLateReader},
		{"etcd-io/etcd#15836", "The error of a call that has waited in vain says why", "Programs compare it with `==`. A client with a `Logger` logs why, and the errors of package client say it", errorWithCause},
	}
}

func deleteOneEndpoint(ctx context.Context, members []string) (string, error) {
	cli, err := dial(members[0])
	if err != nil {
		return "", err
	}
	defer func() { _ = cli.Close() }()
	for target, keys := range map[string][]string{own("22085/a"): {own("22085/a/1"), own("22085/a/2")}, own("22085/b"): {own("22085/b/1")}} {
		m, err := endpoints.NewManager(cli, target)
		if err != nil {
			return "", err
		}
		for _, key := range keys {
			if err := m.AddEndpoint(ctx, key, endpoints.Endpoint{Addr: "127.0.0.1:1"}); err != nil {
				return "", err
			}
		}
	}
	m, err := endpoints.NewManager(cli, own("22085/a"))
	if err != nil {
		return "", err
	}
	_ = m.DeleteEndpoint(ctx, own("22085/a/1"), clientv3.WithRange(own("22085/c"))) // an error is right, too
	others, err := count(ctx, cli, own("22085/b/"))
	return seenUnless(others == 1, "those of other services are deleted, too"), err
}

func errorWithCause(ctx context.Context, _ []string) (string, error) {
	cli, err := dial("http://127.0.0.1:1")
	if err != nil {
		return "", err
	}
	defer func() { _ = cli.Close() }()
	err = attempt(ctx, time.Second, func(ctx context.Context) error {
		_, err := cli.Get(ctx, own("15836"))
		return err
	})
	if err == nil {
		return "", errNone
	}
	return seenUnless(strings.Contains(err.Error(), "refused"), fmt.Sprintf("it is only %q", err)), nil
}

func watchThatNobodyReads(ctx context.Context, members []string) (string, error) {
	const n, size, most = 400, 256 << 10, 32 << 20
	cli, err := dial(members[0])
	if err != nil {
		return "", err
	}
	defer func() { _ = cli.Close() }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	direct, err := dial(members[0])
	if err != nil {
		return "", err
	}
	defer func() { _ = direct.Close() }()
	events, err := watch(ctx, cli, own("138217"))
	if err != nil {
		return "", err
	}
	value := strings.Repeat("v", size)
	for range n {
		if _, err := direct.Put(ctx, own("138217"), value); err != nil {
			return "", err
		}
	}
	var used runtime.MemStats
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end) && used.HeapAlloc < most; time.Sleep(50 * time.Millisecond) {
		runtime.GC()
		runtime.ReadMemStats(&used)
	}
	if used.HeapAlloc >= most {
		return fmt.Sprintf("all that comes is kept: %d MiB of events take more than %d", n*size>>20, most>>20), nil
	}
	for got := 0; got < n; { // none is lost
		resp, ok := within(ctx, 10*time.Second, events)
		if !ok || resp.Err() != nil {
			return fmt.Sprintf("only %d of %d events come", got, n), nil
		}
		got += len(resp.Events)
	}
	return "", nil
}

func reasonForLateReader(ctx context.Context, members []string) (string, error) {
	const most = 4 << 10
	cli, err := clientv3.New(clientv3.Config{Endpoints: []string{members[0]}, MaxCallSendMsgSize: most, MaxCallRecvMsgSize: most})
	if err != nil {
		return "", err
	}
	defer func() { _ = cli.Close() }()
	direct, err := dial(members[0])
	if err != nil {
		return "", err
	}
	defer func() { _ = direct.Close() }()
	events, err := watch(ctx, cli, own("472"))
	if err != nil {
		return "", err
	}
	for _, value := range []string{"a", "b", strings.Repeat("c", 2*most)} { // the last one is too large
		if _, err := direct.Put(ctx, own("472"), value); err != nil {
			return "", err
		}
		time.Sleep(500 * time.Millisecond) // the reader is busy
	}
	for {
		switch resp, ok := within(ctx, 10*time.Second, events); {
		case !ok:
			return "it does not end", nil
		case resp.Err() != nil:
			return "", nil
		case resp.Events == nil:
			return "the channel is closed without one", nil
		}
	}
}

func transactionsOnSeveralMembers(ctx context.Context, members []string) (string, error) {
	const workers, each = 8, 100
	cli, err := clientv3.New(clientv3.Config{Endpoints: members})
	if err != nil {
		return "", err
	}
	defer func() { _ = cli.Close() }()
	failed := make(chan error, workers)
	for range workers {
		go func() {
			var err error
			for range each {
				if _, err = concurrency.NewSTM(cli, func(stm concurrency.STM) error {
					stm.Get(own("11963/a"))
					stm.Get(own("11963/b"))
					stm.Put(own("11963/a"), "v")
					return nil
				}, concurrency.WithAbortContext(ctx)); err != nil {
					break
				}
			}
			failed <- err
		}()
	}
	var seen string
	for range workers {
		switch err := <-failed; {
		case errors.Is(err, rpctypes.ErrFutureRev):
			seen = fmt.Sprintf("some fail with %q", err)
		case err != nil:
			return "", err
		}
	}
	return seen, nil
}
