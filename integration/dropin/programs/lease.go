package main

import (
	"context"
	"io"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func leasePrograms() map[string]program {
	return map[string]program{
		"lease/grant":  grant,
		"lease/revoke": revoke,
		"lease/once":   keepAliveOnce,
		"lease/keep":   keepAlive,
		"lease/list":   listLeases,
	}
}

func grant(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	resp, err := cli.Grant(ctx, 60)
	if err != nil {
		return err
	}
	if _, err := cli.Put(ctx, "guest", "here", clientv3.WithLease(resp.ID)); err != nil {
		return err
	}
	left, err := cli.TimeToLive(ctx, resp.ID, clientv3.WithAttachedKeys())
	if err != nil {
		return err
	}
	p.line("granted %d, left some: %v, keys %q", resp.TTL, left.TTL > 50 && left.TTL <= left.GrantedTTL, left.Keys)
	txn, err := cli.Txn(ctx).If(clientv3.Compare(clientv3.LeaseValue("guest"), "=", resp.ID)).Commit()
	if err != nil {
		return err
	}
	p.line("it is the key's: %v", txn.Succeeded)
	_, err = cli.Revoke(ctx, resp.ID)
	return err
}

func revoke(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	resp, err := cli.Grant(ctx, 60)
	if err != nil {
		return err
	}
	if _, err := cli.Put(ctx, "guest", "here", clientv3.WithLease(resp.ID)); err != nil {
		return err
	}
	if _, err := cli.Revoke(ctx, resp.ID); err != nil {
		return err
	}
	get, err := cli.Get(ctx, "guest")
	if err != nil {
		return err
	}
	p.pairs(get)
	_, err = cli.Revoke(ctx, resp.ID)
	p.line("again: %v", err == rpctypes.ErrLeaseNotFound) //nolint:errorlint // as users of clientv3 do
	gone, err := cli.TimeToLive(ctx, resp.ID)
	if err != nil {
		return err
	}
	p.line("left: %d", gone.TTL)
	_, err = cli.Put(ctx, "guest", "here", clientv3.WithLease(resp.ID))
	p.line("no such lease: %v", err == rpctypes.ErrLeaseNotFound) //nolint:errorlint // as users of clientv3 do
	return p.err
}

func keepAliveOnce(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	resp, err := cli.Grant(ctx, 60)
	if err != nil {
		return err
	}
	once, err := cli.KeepAliveOnce(ctx, resp.ID)
	if err != nil {
		return err
	}
	p.line("the same: %v, for %d", once.ID == resp.ID, once.TTL)
	if _, err := cli.Revoke(ctx, resp.ID); err != nil {
		return err
	}
	_, err = cli.KeepAliveOnce(ctx, resp.ID)
	p.line("no such lease: %v", err == rpctypes.ErrLeaseNotFound) //nolint:errorlint // as users of clientv3 do
	return p.err
}

func keepAlive(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	resp, err := cli.Grant(ctx, 60)
	if err != nil {
		return err
	}
	keep, cancel := context.WithCancel(ctx)
	defer cancel()
	answers, err := cli.KeepAlive(keep, resp.ID)
	if err != nil {
		return err
	}
	first := <-answers
	p.line("the same: %v, for %d", first.ID == resp.ID, first.TTL)
	cancel()
	for range answers { // until it closes
	}
	p.line("not kept any more")
	_, err = cli.Revoke(ctx, resp.ID)
	return err
}

func listLeases(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	resp, err := cli.Grant(ctx, 60)
	if err != nil {
		return err
	}
	list, err := cli.Leases(ctx)
	if err != nil {
		return err
	}
	for _, l := range list.Leases {
		p.line("the same: %v", l.ID == resp.ID)
	}
	_, err = cli.Revoke(ctx, resp.ID)
	return err
}
