package main

import (
	"context"
	"io"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.etcd.io/etcd/client/v3/leasing"
)

func leasingPrograms() map[string]program {
	return map[string]program{
		"leasing/get":   leased,
		"leasing/two":   twoLeasing,
		"leasing/txn":   leasingTxn,
		"leasing/range": leasingRange,
	}
}

// values prints only what clientv3 3.7.3 gets right. For a key that was deleted
// in memory, clientv3 reports a count of 1, and it puts and deletes a key without
// an owner twice.
func (p *printer) values(resp *clientv3.GetResponse) {
	if len(resp.Kvs) == 0 {
		p.line("nothing")
	}
	for _, kv := range resp.Kvs {
		p.line("%s = %s", kv.Key, kv.Value)
	}
}

// leased reads a key from the cluster, and then from memory.
func leased(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	lkv, closeLKV, err := leasing.NewKV(cli, "leasing-prefix/", concurrency.WithTTL(30))
	if err != nil {
		return err
	}
	defer closeLKV()
	if _, err := cli.Put(ctx, "abc", "123"); err != nil {
		return err
	}
	for range 3 {
		resp, err := lkv.Get(ctx, "abc")
		if err != nil {
			return err
		}
		p.pairs(resp)
	}
	leasingKey, err := cli.Get(ctx, "leasing-prefix/abc")
	if err != nil {
		return err
	}
	p.pairs(leasingKey)
	// This write ignores the protocol, so it goes unnoticed.
	if _, err := cli.Put(ctx, "abc", "unnoticed"); err != nil {
		return err
	}
	for _, opts := range [][]clientv3.OpOption{nil, {clientv3.WithKeysOnly()}, {clientv3.WithMinModRev(1 << 40)}, {clientv3.WithPrefix()}} {
		resp, err := lkv.Get(ctx, "abc", opts...)
		if err != nil {
			return err
		}
		p.pairs(resp)
	}
	return p.err
}

// twoLeasing lets two clients write and read the same keys.
func twoLeasing(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	var kvs []clientv3.KV
	for range 2 {
		lkv, closeLKV, err := leasing.NewKV(cli, "leasing-prefix/")
		if err != nil {
			return err
		}
		defer closeLKV()
		kvs = append(kvs, lkv)
	}
	for i, value := range []string{"a", "b", "c", "d"} {
		if _, err := kvs[i%2].Put(ctx, "abc", value); err != nil {
			return err
		}
		for _, lkv := range kvs {
			resp, err := lkv.Get(ctx, "abc")
			if err != nil {
				return err
			}
			p.values(resp)
		}
	}
	if _, err := kvs[0].Delete(ctx, "abc"); err != nil {
		return err
	}
	for _, lkv := range kvs {
		resp, err := lkv.Get(ctx, "abc")
		if err != nil {
			return err
		}
		p.values(resp)
	}
	return p.err
}

// leasingTxn runs transactions that are answered from memory, and some that are
// not.
func leasingTxn(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	lkv, closeLKV, err := leasing.NewKV(cli, "leasing-prefix/")
	if err != nil {
		return err
	}
	defer closeLKV()
	for range 2 {
		if _, err := lkv.Get(ctx, "abc"); err != nil {
			return err
		}
		resp, err := lkv.Txn(ctx).
			If(clientv3.Compare(clientv3.Version("abc"), "=", 0)).
			Then(clientv3.OpPut("abc", "new")).
			Else(clientv3.OpGet("abc"), clientv3.OpGet("abc", clientv3.WithKeysOnly())).
			Commit()
		if err != nil {
			return err
		}
		p.line("made: %v, %d parts", resp.Succeeded, len(resp.Responses))
		for _, part := range resp.Responses {
			if r := part.GetResponseRange(); r != nil {
				p.values((*clientv3.GetResponse)(r))
			}
		}
	}
	inner := clientv3.OpTxn(nil, []clientv3.Op{clientv3.OpDelete("abc"), clientv3.OpPut("def", "1")}, nil)
	did, err := lkv.Do(ctx, clientv3.OpTxn(nil, []clientv3.Op{inner}, nil))
	if err != nil {
		return err
	}
	p.line("nested: %v", did.Txn().Responses[0].GetResponseTxn().Succeeded)
	for _, key := range []string{"abc", "def"} {
		resp, err := lkv.Get(ctx, key)
		if err != nil {
			return err
		}
		p.values(resp)
	}
	return p.err
}

// leasingRange deletes a range of keys that are in memory.
func leasingRange(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	lkv, closeLKV, err := leasing.NewKV(cli, "leasing-prefix/")
	if err != nil {
		return err
	}
	defer closeLKV()
	for _, key := range []string{"a/1", "a/2", "b/1"} {
		if _, err := lkv.Put(ctx, key, key); err != nil {
			return err
		}
		if _, err := lkv.Get(ctx, key); err != nil {
			return err
		}
	}
	deleted, err := lkv.Delete(ctx, "a/", clientv3.WithPrefix())
	if err != nil {
		return err
	}
	p.line("deleted %d", deleted.Deleted)
	for _, key := range []string{"a/1", "a/2", "b/1"} {
		resp, err := lkv.Get(ctx, key)
		if err != nil {
			return err
		}
		p.values(resp)
	}
	return p.err
}
