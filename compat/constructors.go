package compat

import (
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	getcd "github.com/getcd/getcd/clientv3"
)

// constructors build operations from requests, with the types of one package.
type constructors[Op, Option, Cmp any] struct {
	get, remove func(key string, opts ...Option) Op
	put         func(key, value string, opts ...Option) Op
	txn         func(cmps []Cmp, then, otherwise []Op) Op
	cmp         func(*pb.Compare) Cmp

	end                                                                 func(string) Option
	serializable, keysOnly, countOnly, prevKV, ignoreValue, ignoreLease func() Option
	limit, rev, minMod, maxMod, minCreate, maxCreate, lease             func(int64) Option
	sort                                                                func(pb.RangeRequest_SortTarget, pb.RangeRequest_SortOrder) Option
}

var theirs = constructors[clientv3.Op, clientv3.OpOption, clientv3.Cmp]{
	get: clientv3.OpGet, remove: clientv3.OpDelete, put: clientv3.OpPut, txn: clientv3.OpTxn, cmp: clientv3.FromCompare,
	end:          clientv3.WithRange,
	serializable: clientv3.WithSerializable, keysOnly: clientv3.WithKeysOnly, countOnly: clientv3.WithCountOnly,
	prevKV: clientv3.WithPrevKV, ignoreValue: clientv3.WithIgnoreValue, ignoreLease: clientv3.WithIgnoreLease,
	limit: clientv3.WithLimit, rev: clientv3.WithRev,
	minMod: clientv3.WithMinModRev, maxMod: clientv3.WithMaxModRev,
	minCreate: clientv3.WithMinCreateRev, maxCreate: clientv3.WithMaxCreateRev,
	lease: func(id int64) clientv3.OpOption { return clientv3.WithLease(clientv3.LeaseID(id)) },
	sort: func(t pb.RangeRequest_SortTarget, o pb.RangeRequest_SortOrder) clientv3.OpOption {
		return clientv3.WithSort(clientv3.SortTarget(t), clientv3.SortOrder(o))
	},
}

var ours = constructors[getcd.Op, getcd.OpOption, getcd.Cmp]{
	get: getcd.OpGet, remove: getcd.OpDelete, put: getcd.OpPut, txn: getcd.OpTxn, cmp: getcd.FromCompare,
	end:          getcd.WithRange,
	serializable: getcd.WithSerializable, keysOnly: getcd.WithKeysOnly, countOnly: getcd.WithCountOnly,
	prevKV: getcd.WithPrevKV, ignoreValue: getcd.WithIgnoreValue, ignoreLease: getcd.WithIgnoreLease,
	limit: getcd.WithLimit, rev: getcd.WithRev,
	minMod: getcd.WithMinModRev, maxMod: getcd.WithMaxModRev,
	minCreate: getcd.WithMinCreateRev, maxCreate: getcd.WithMaxCreateRev,
	lease: func(id int64) getcd.OpOption { return getcd.WithLease(getcd.LeaseID(id)) },
	sort: func(t pb.RangeRequest_SortTarget, o pb.RangeRequest_SortOrder) getcd.OpOption {
		return getcd.WithSort(getcd.SortTarget(t), getcd.SortOrder(o))
	},
}

// op builds an operation from a request.
func (c constructors[Op, Option, Cmp]) op(request *pb.RequestOp) Op {
	var opts []Option
	flag := func(set bool, option func() Option) {
		if set {
			opts = append(opts, option())
		}
	}
	number := func(n int64, option func(int64) Option) {
		if n != 0 {
			opts = append(opts, option(n))
		}
	}
	end := func(key []byte) {
		if len(key) > 0 {
			opts = append(opts, c.end(string(key)))
		}
	}
	switch request.GetRequest().(type) {
	case *pb.RequestOp_RequestPut:
		r := request.GetRequestPut()
		number(r.Lease, c.lease)
		flag(r.PrevKv, c.prevKV)
		flag(r.IgnoreValue, c.ignoreValue)
		flag(r.IgnoreLease, c.ignoreLease)
		return c.put(string(r.Key), string(r.Value), opts...)
	case *pb.RequestOp_RequestDeleteRange:
		r := request.GetRequestDeleteRange()
		end(r.RangeEnd)
		flag(r.PrevKv, c.prevKV)
		return c.remove(string(r.Key), opts...)
	case *pb.RequestOp_RequestTxn:
		r := request.GetRequestTxn()
		return c.txn(each(r.Compare, c.cmp), each(r.Success, c.op), each(r.Failure, c.op))
	}
	r := request.GetRequestRange()
	end(r.RangeEnd)
	number(r.Limit, c.limit)
	number(r.Revision, c.rev)
	number(r.MinModRevision, c.minMod)
	number(r.MaxModRevision, c.maxMod)
	number(r.MinCreateRevision, c.minCreate)
	number(r.MaxCreateRevision, c.maxCreate)
	flag(r.Serializable, c.serializable)
	flag(r.KeysOnly, c.keysOnly)
	flag(r.CountOnly, c.countOnly)
	if r.SortTarget != pb.RangeRequest_KEY || r.SortOrder != pb.RangeRequest_NONE {
		opts = append(opts, c.sort(r.SortTarget, r.SortOrder))
	}
	return c.get(string(r.Key), opts...)
}

func each[From, To any](all []From, convert func(From) To) []To {
	var out []To
	for _, one := range all {
		out = append(out, convert(one))
	}
	return out
}
