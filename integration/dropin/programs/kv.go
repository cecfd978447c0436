package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/clientv3util"
)

func kvPrograms() map[string]program {
	return map[string]program{
		"kv/put":      putAndGet,
		"kv/previous": previousValues,
		"kv/errors":   bareErrors,
		"kv/revision": readThePast,
		"kv/sorted":   sortedPrefix,
		"kv/ranges":   ranges,
		"kv/pages":    pages,
		"kv/stream":   stream,
		"kv/delete":   deletePrefix,
		"kv/compact":  compact,
		"kv/txn":      transaction,
		"kv/nested":   nestedTransaction,
		"kv/do":       operations,
		"kv/leader":   requireLeader,
	}
}

func fill(ctx context.Context, cli *clientv3.Client, n int) error {
	for i := range n {
		if _, err := cli.Put(ctx, fmt.Sprintf("fruit/%02d", i), fmt.Sprintf("value %d", i)); err != nil {
			return err
		}
	}
	return nil
}

func putAndGet(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	put, err := cli.Put(ctx, "color", "green")
	if err != nil {
		return err
	}
	get, err := cli.Get(ctx, "color")
	if err != nil {
		return err
	}
	p.pairs(get)
	p.line("read at the revision of the write: %v", get.Header.Revision == put.Header.Revision)
	none, err := cli.Get(ctx, "smell")
	if err != nil {
		return err
	}
	p.pairs(none)
	return p.err
}

func previousValues(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	for _, color := range []string{"green", "yellow"} {
		resp, err := cli.Put(ctx, "color", color, clientv3.WithPrevKV())
		if err != nil {
			return err
		}
		p.line("before %s: %s", color, resp.PrevKv.GetValue())
	}
	if _, err := cli.Put(ctx, "color", "", clientv3.WithIgnoreValue()); err != nil {
		return err
	}
	resp, err := cli.Delete(ctx, "color", clientv3.WithPrevKV())
	if err != nil {
		return err
	}
	p.line("deleted %d: %s, version %d", resp.Deleted, resp.PrevKvs[0].Value, resp.PrevKvs[0].Version)
	_, err = cli.Put(ctx, "color", "", clientv3.WithIgnoreValue())
	p.line("nothing to keep: %v", err == rpctypes.ErrKeyNotFound) //nolint:errorlint // as users of clientv3 do
	return p.err
}

// bareErrors compares errors as the documentation does.
func bareErrors(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	_, err := cli.Put(ctx, "", "nothing")
	switch err { //nolint:errorlint // as users of clientv3 do
	case context.Canceled:
		p.line("canceled")
	case context.DeadlineExceeded:
		p.line("too late")
	case rpctypes.ErrEmptyKey:
		p.line("no key: %v", err)
	default:
		p.line("something else: %v", err)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	_, err = cli.Get(canceled, "color")
	p.line("canceled: %v", err == context.Canceled) //nolint:errorlint // as users of clientv3 do
	late, cancel := context.WithTimeout(ctx, 0)
	defer cancel()
	_, err = cli.Put(late, "color", "red")
	p.line("too late: %v", err == context.DeadlineExceeded) //nolint:errorlint // as users of clientv3 do
	_, err = cli.Get(ctx, "color", clientv3.WithRev(1<<40))
	p.line("not yet: %v %v", err == rpctypes.ErrFutureRev, errors.Is(err, rpctypes.ErrFutureRev)) //nolint:errorlint // as users of clientv3 do
	if etcd, ok := errors.AsType[rpctypes.EtcdError](err); ok {
		p.line("of code %v: %v", etcd.Code(), etcd)
	}
	p.line("the connection is fine: %v", !clientv3.IsConnCanceled(err))
	return p.err
}

func readThePast(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	first, err := cli.Put(ctx, "color", "green")
	if err != nil {
		return err
	}
	if _, err := cli.Put(ctx, "color", "yellow"); err != nil {
		return err
	}
	resp, err := cli.Get(ctx, "color", clientv3.WithRev(first.Header.Revision))
	if err != nil {
		return err
	}
	p.pairs(resp)
	return p.err
}

func sortedPrefix(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	if err := fill(ctx, cli, 4); err != nil {
		return err
	}
	if _, err := cli.Put(ctx, "fruit/01", "again"); err != nil {
		return err
	}
	for _, target := range []clientv3.SortTarget{clientv3.SortByKey, clientv3.SortByVersion, clientv3.SortByModRevision, clientv3.SortByValue} {
		resp, err := cli.Get(ctx, "fruit/", clientv3.WithPrefix(), clientv3.WithSort(target, clientv3.SortDescend))
		if err != nil {
			return err
		}
		p.pairs(resp)
	}
	for _, opts := range [][]clientv3.OpOption{
		clientv3.WithFirstKey(), clientv3.WithLastKey(), clientv3.WithFirstCreate(), clientv3.WithLastCreate(),
		clientv3.WithFirstRev(), clientv3.WithLastRev(),
	} {
		resp, err := cli.Get(ctx, "fruit/", opts...)
		if err != nil {
			return err
		}
		p.line("%s", resp.Kvs[0].Key)
	}
	return p.err
}

func ranges(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	if err := fill(ctx, cli, 6); err != nil {
		return err
	}
	for _, opts := range [][]clientv3.OpOption{
		{clientv3.WithRange("fruit/05")},
		{clientv3.WithFromKey()},
		{clientv3.WithPrefix(), clientv3.WithKeysOnly()},
		{clientv3.WithPrefix(), clientv3.WithCountOnly()},
		{clientv3.WithPrefix(), clientv3.WithSerializable()},
		{clientv3.WithRange(clientv3.GetPrefixRangeEnd("fruit/0")), clientv3.WithLimit(2)},
	} {
		resp, err := cli.Get(ctx, "fruit/03", opts...)
		if err != nil {
			return err
		}
		p.pairs(resp)
		p.line("of a prefix: %v, from a key: %v", clientv3.IsOptsWithPrefix(opts), clientv3.IsOptsWithFromKey(opts))
	}
	return p.err
}

func pages(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	if err := fill(ctx, cli, 7); err != nil {
		return err
	}
	end := clientv3.WithRange(clientv3.GetPrefixRangeEnd("fruit/"))
	for key, rev := "fruit/", int64(0); ; {
		resp, err := cli.Get(ctx, key, end, clientv3.WithLimit(3), clientv3.WithRev(rev))
		if err != nil {
			return err
		}
		p.pairs(resp)
		if !resp.More {
			return p.err
		}
		rev = resp.Header.Revision
		key = string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00"
	}
}

func stream(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	if err := fill(ctx, cli, 20); err != nil {
		return err
	}
	parts, err := cli.GetStream(ctx, "fruit/", clientv3.WithPrefix())
	if err != nil {
		return err
	}
	resp, err := clientv3.GetStreamToGetResponse(parts)
	if err != nil {
		return err
	}
	p.pairs(resp)
	return p.err
}

func deletePrefix(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	if err := fill(ctx, cli, 5); err != nil {
		return err
	}
	for range 2 {
		resp, err := cli.Delete(ctx, "fruit/", clientv3.WithPrefix())
		if err != nil {
			return err
		}
		p.line("deleted %d", resp.Deleted)
	}
	return p.err
}

func compact(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	if err := fill(ctx, cli, 3); err != nil {
		return err
	}
	resp, err := cli.Get(ctx, "fruit/00")
	if err != nil {
		return err
	}
	rev := resp.Header.Revision
	if _, err := cli.Compact(ctx, rev, clientv3.WithCompactPhysical()); err != nil {
		return err
	}
	_, err = cli.Get(ctx, "fruit/00", clientv3.WithRev(rev-1))
	p.line("the past: %v", err == rpctypes.ErrCompacted) //nolint:errorlint // as users of clientv3 do
	_, err = cli.Compact(ctx, rev)
	p.line("again: %v", err == rpctypes.ErrCompacted) //nolint:errorlint // as users of clientv3 do
	return p.err
}

func transaction(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	if _, err := cli.Put(ctx, "color", "green"); err != nil {
		return err
	}
	for range 2 {
		resp, err := cli.Txn(ctx).
			If(clientv3.Compare(clientv3.Value("color"), "=", "green"), clientv3util.KeyMissing("smell")).
			Then(clientv3.OpPut("color", "red"), clientv3.OpPut("smell", "sweet")).
			Else(clientv3.OpGet("color"), clientv3.OpDelete("smell", clientv3.WithPrevKV())).
			Commit()
		if err != nil {
			return err
		}
		p.line("succeeded: %v, %d responses", resp.Succeeded, len(resp.Responses))
		if !resp.Succeeded {
			p.line("it is %s, and smelled %s", resp.Responses[0].GetResponseRange().Kvs[0].Value, resp.Responses[1].GetResponseDeleteRange().PrevKvs[0].Value)
		}
	}
	resp, err := cli.Txn(ctx).If(clientv3util.KeyExists("color")).Then(clientv3.OpDelete("color")).Commit()
	if err != nil {
		return err
	}
	p.line("deleted: %v", resp.Succeeded)
	return p.err
}

func nestedTransaction(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	inner := clientv3.OpTxn(
		[]clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision("a"), ">", 0)},
		[]clientv3.Op{clientv3.OpPut("found", "a")},
		[]clientv3.Op{clientv3.OpPut("found", "nothing")},
	)
	resp, err := cli.Txn(ctx).If(clientv3.Compare(clientv3.Version("a").WithRange("z"), "=", 0)).Then(clientv3.OpPut("a", "1"), inner).Commit()
	if err != nil {
		return err
	}
	p.line("succeeded: %v, inner: %v", resp.Succeeded, resp.Responses[1].GetResponseTxn().Succeeded)
	get, err := cli.Get(ctx, "found")
	if err != nil {
		return err
	}
	p.pairs(get)
	return p.err
}

func operations(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	for _, op := range []clientv3.Op{
		clientv3.OpPut("color", "green"), clientv3.OpGet("color"), clientv3.OpPut("color", "red", clientv3.WithPrevKV()),
		clientv3.OpTxn(nil, []clientv3.Op{clientv3.OpGet("color")}, nil), clientv3.OpDelete("color"),
	} {
		resp, err := cli.Do(ctx, op)
		if err != nil {
			return err
		}
		p.line("get %v, put %v, delete %v, txn %v", op.IsGet(), op.IsPut(), op.IsDelete(), op.IsTxn())
		switch {
		case resp.Get() != nil:
			p.pairs(resp.Get())
		case resp.Put() != nil:
			p.line("before: %s", resp.Put().PrevKv.GetValue())
		case resp.Del() != nil:
			p.line("deleted %d", resp.Del().Deleted)
		case resp.Txn() != nil:
			p.line("succeeded: %v", resp.Txn().OpResponse().Txn().Succeeded)
		}
	}
	return p.err
}

func requireLeader(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	resp, err := cli.Get(clientv3.WithRequireLeader(ctx), "color")
	if err != nil {
		return err
	}
	p.pairs(resp)
	return p.err
}
