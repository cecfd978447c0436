package compat

import (
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	getcd "github.com/getcd/getcd/clientv3"
)

// words make an operation of a request, in the types of one package.
type words[Op, Option, Cmp any] struct {
	get, remove func(key string, opts ...Option) Op
	put         func(key, value string, opts ...Option) Op
	txn         func(cmps []Cmp, then, otherwise []Op) Op
	cmp         func(*pb.Compare) Cmp

	end                                                                 func(string) Option
	serializable, keysOnly, countOnly, prevKV, ignoreValue, ignoreLease func() Option
	limit, rev, minMod, maxMod, minCreate, maxCreate, lease             func(int64) Option
	sort                                                                func(pb.RangeRequest_SortTarget, pb.RangeRequest_SortOrder) Option
}

var theirs = words[clientv3.Op, clientv3.OpOption, clientv3.Cmp]{
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

var ours = words[getcd.Op, getcd.OpOption, getcd.Cmp]{
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

// op makes an operation of a request.
func (w words[Op, Option, Cmp]) op(request *pb.RequestOp) Op {
	var opts []Option
	say := func(set bool, option func() Option) {
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
			opts = append(opts, w.end(string(key)))
		}
	}
	switch request.GetRequest().(type) {
	case *pb.RequestOp_RequestPut:
		r := request.GetRequestPut()
		number(r.Lease, w.lease)
		say(r.PrevKv, w.prevKV)
		say(r.IgnoreValue, w.ignoreValue)
		say(r.IgnoreLease, w.ignoreLease)
		return w.put(string(r.Key), string(r.Value), opts...)
	case *pb.RequestOp_RequestDeleteRange:
		r := request.GetRequestDeleteRange()
		end(r.RangeEnd)
		say(r.PrevKv, w.prevKV)
		return w.remove(string(r.Key), opts...)
	case *pb.RequestOp_RequestTxn:
		r := request.GetRequestTxn()
		return w.txn(each(r.Compare, w.cmp), each(r.Success, w.op), each(r.Failure, w.op))
	}
	r := request.GetRequestRange()
	end(r.RangeEnd)
	number(r.Limit, w.limit)
	number(r.Revision, w.rev)
	number(r.MinModRevision, w.minMod)
	number(r.MaxModRevision, w.maxMod)
	number(r.MinCreateRevision, w.minCreate)
	number(r.MaxCreateRevision, w.maxCreate)
	say(r.Serializable, w.serializable)
	say(r.KeysOnly, w.keysOnly)
	say(r.CountOnly, w.countOnly)
	if r.SortTarget != pb.RangeRequest_KEY || r.SortOrder != pb.RangeRequest_NONE {
		opts = append(opts, w.sort(r.SortTarget, r.SortOrder))
	}
	return w.get(string(r.Key), opts...)
}

func each[From, To any](all []From, convert func(From) To) []To {
	var out []To
	for _, one := range all {
		out = append(out, convert(one))
	}
	return out
}
