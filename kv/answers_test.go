package kv_test

import (
	"errors"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/kv"
)

func TestAnswersByIndex(t *testing.T) {
	store, _ := newKV(t)
	ctx := t.Context()
	mustPut(t, store, "a", "1")
	mustPut(t, store, "b", "2")
	resp, err := store.Txn(ctx).
		If(kv.Compare(kv.Version("a"), "=", 1)).
		Then(
			kv.OpGet("a"),
			kv.OpPut("c", "3", kv.WithPrevKV()),
			kv.OpDelete("b", kv.WithPrevKV()),
			kv.OpTxn(nil, []kv.Op{kv.OpGet("a"), kv.OpPut("d", "4")}, nil),
		).
		Commit()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := resp.Get(0); err != nil || show(got) != "a=1" {
		t.Errorf("Get(0): got %v, %v, want a=1", got, err)
	}
	if put, err := resp.Put(1); err != nil || put.PrevKv != nil {
		t.Errorf("Put(1): got %v, %v, want a response without a previous value", put, err)
	}
	if del, err := resp.Delete(2); err != nil || del.Deleted != 1 || string(del.PrevKvs[0].Value) != "2" {
		t.Errorf("Delete(2): got %v, %v, want that b=2 was deleted", del, err)
	}
	nested, err := resp.Txn(3)
	if err != nil || !nested.Succeeded {
		t.Fatalf("Txn(3): got %v, %v, want one that has succeeded", nested, err)
	}
	if got, err := nested.Get(0); err != nil || show(got) != "a=1" {
		t.Errorf("Txn(3).Get(0): got %v, %v, want a=1", got, err)
	}
	if _, err := nested.Put(1); err != nil {
		t.Errorf("Txn(3).Put(1): %v", err)
	}
}

func TestAnswersThatAreNotThere(t *testing.T) {
	store, _ := newKV(t)
	ctx := t.Context()
	then, err := store.Txn(ctx).Then(kv.OpGet("a"), kv.OpPut("b", ""), kv.OpDelete("c"), kv.OpTxn(nil, nil, nil)).Commit()
	if err != nil {
		t.Fatal(err)
	}
	otherwise, err := store.Txn(ctx).If(kv.Compare(kv.Version("a"), ">", 0)).Then(kv.OpGet("a")).Else(kv.OpPut("a", "")).Commit()
	if err != nil {
		t.Fatal(err)
	}
	empty := &kv.TxnResponse{Responses: []*pb.ResponseOp{{}, nil}}
	for _, tt := range []struct {
		name string
		ask  func(*kv.TxnResponse, int) error
		resp *kv.TxnResponse
		i    int
		want string
	}{
		{"another kind", get, then, 1, "kv: TxnResponse: Get(1): the Then branch was taken, and that is a Put; use Put(1)"},
		{"another kind", put, then, 2, "kv: TxnResponse: Put(2): the Then branch was taken, and that is a Delete; use Delete(2)"},
		{"another kind", del, then, 3, "kv: TxnResponse: Delete(3): the Then branch was taken, and that is a Txn; use Txn(3)"},
		{"another kind", txn, then, 0, "kv: TxnResponse: Txn(0): the Then branch was taken, and that is a Get; use Get(0)"},
		{"beyond", get, then, 4, "kv: TxnResponse: Get(4): the Then branch was taken, and that branch has 4 operations, numbered from 0"},
		{"below", get, then, -1, "kv: TxnResponse: Get(-1): the Then branch was taken, and that branch has 4 operations, numbered from 0"},
		{"the other branch's", get, otherwise, 0, "kv: TxnResponse: Get(0): the Else branch was taken, and that is a Put; use Put(0)"},
		{"empty", get, empty, 0, "kv: TxnResponse: Get(0): the Else branch was taken, and the server's response to it is empty"},
		{"nil", txn, empty, 1, "kv: TxnResponse: Txn(1): the Else branch was taken, and the server's response to it is empty"},
		{"no response", put, nil, 0, "kv: TxnResponse: Put: there is no response; look at Commit's error first"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.ask(tt.resp, tt.i)
			if _, ok := errors.AsType[*kv.UsageError](err); !ok || err.Error() != tt.want {
				t.Errorf("got %v, want a *UsageError %q", err, tt.want)
			}
		})
	}
}

func get(r *kv.TxnResponse, i int) error { _, err := r.Get(i); return err }
func put(r *kv.TxnResponse, i int) error { _, err := r.Put(i); return err }
func del(r *kv.TxnResponse, i int) error { _, err := r.Delete(i); return err }
func txn(r *kv.TxnResponse, i int) error { _, err := r.Txn(i); return err }
