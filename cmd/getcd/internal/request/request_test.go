package request_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/spf13/pflag"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/cmd/getcd/internal/exit"
	"github.com/getcd/getcd/cmd/getcd/internal/request"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func parse(t *testing.T, register func(*pflag.FlagSet), args []string) []string {
	t.Helper()
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	register(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return fs.Args()
}

func TestGet(t *testing.T) {
	for _, tt := range []struct {
		args string
		want *pb.RangeRequest
	}{
		{"k", &pb.RangeRequest{Key: []byte("k")}},
		{"k z", &pb.RangeRequest{Key: []byte("k"), RangeEnd: []byte("z")}},
		{"k z ignored", &pb.RangeRequest{Key: []byte("k"), RangeEnd: []byte("z")}},
		{"k a", &pb.RangeRequest{Key: []byte("k"), RangeEnd: []byte("k")}}, // as empty as [k, a)
		{"--prefix k", &pb.RangeRequest{Key: []byte("k"), RangeEnd: []byte("l")}},
		{"--from-key k", &pb.RangeRequest{Key: []byte("k"), RangeEnd: []byte{0}}},
		{"--prefix ''", &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}}},
		{"--from-key ''", &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}}},
		{"k --limit=5 --rev=7 --consistency=s --keys-only", &pb.RangeRequest{Key: []byte("k"), Limit: 5, Revision: 7, Serializable: true, KeysOnly: true}},
		{"k --limit=-1 --rev=-1 --min-mod-rev=-1", &pb.RangeRequest{Key: []byte("k")}},
		{"k --print-value-only --stream", &pb.RangeRequest{Key: []byte("k")}},
		{"k --count-only", &pb.RangeRequest{Key: []byte("k"), CountOnly: true}},
		{"k --order=descend", &pb.RangeRequest{Key: []byte("k"), SortOrder: pb.RangeRequest_DESCEND}},
		{"k --order=ASCEND --sort-by=Value", &pb.RangeRequest{Key: []byte("k"), SortOrder: pb.RangeRequest_ASCEND, SortTarget: pb.RangeRequest_VALUE}},
		{"k --order=ASCEND", &pb.RangeRequest{Key: []byte("k")}}, // the server's own order
		{"k --order=DESCEND --sort-by=create", &pb.RangeRequest{Key: []byte("k"), SortOrder: pb.RangeRequest_DESCEND, SortTarget: pb.RangeRequest_CREATE}},
		{
			"k --min-create-rev=1 --max-create-rev=2 --min-mod-rev=3 --max-mod-rev=4",
			&pb.RangeRequest{Key: []byte("k"), MinCreateRevision: 1, MaxCreateRevision: 2, MinModRevision: 3, MaxModRevision: 4},
		},
	} {
		var g request.Get
		args := strings.Fields(tt.args)
		for i := range args {
			args[i] = strings.Trim(args[i], "'")
		}
		op, err := g.Op(parse(t, g.Register, args))
		if err == nil {
			err = op.Err()
		}
		if err != nil {
			t.Errorf("get %s: %v", tt.args, err)
			continue
		}
		if got := g.RangeRequest(op); !proto.Equal(got, tt.want) {
			t.Errorf("get %s\n got %v\nwant %v", tt.args, got, tt.want)
		}
	}
}

func TestPut(t *testing.T) {
	for _, tt := range []struct {
		args, stdin string
		value       string
		lease       lease.ID
	}{
		{"k v", "not read", "v", lease.NoLease},
		{"k v ignored", "", "v", lease.NoLease},
		{"k", "from stdin\n", "from stdin\n", lease.NoLease},
		{"k v --lease=1F --prev-kv", "", "v", 0x1f},
		{"k --ignore-value --ignore-lease", "not read", "", lease.NoLease},
	} {
		var p request.Put
		op, err := p.Op(parse(t, p.Register, strings.Fields(tt.args)), strings.NewReader(tt.stdin))
		if err == nil {
			err = op.Err()
		}
		if err != nil {
			t.Errorf("put %s: %v", tt.args, err)
			continue
		}
		if !op.IsPut() || string(op.KeyBytes()) != "k" || string(op.ValueBytes()) != tt.value || op.LeaseID() != tt.lease {
			t.Errorf("put %s\n got key %q, value %q, lease %x\nwant k, %q, %x", tt.args, op.KeyBytes(), op.ValueBytes(), op.LeaseID(), tt.value, tt.lease)
		}
		if op.IsPrevKV() != p.PrevKV {
			t.Errorf("put %s: prev-kv is %t, want %t", tt.args, op.IsPrevKV(), p.PrevKV)
		}
	}
}

func TestDelete(t *testing.T) {
	for _, tt := range []struct {
		args, key, end string
		warned         bool
	}{
		{"k", "k", "", false},
		{"k z", "k", "z", true},
		{"k z --range", "k", "z", false},
		{"k --prefix", "k", "l", false},
		{"k --from-key --prev-kv", "k", "\x00", false},
	} {
		var d request.Delete
		warned := false
		op, err := d.Op(parse(t, d.Register, strings.Fields(tt.args)), func(string, string) error { warned = true; return nil })
		if err == nil {
			err = op.Err()
		}
		if err != nil {
			t.Errorf("del %s: %v", tt.args, err)
			continue
		}
		if string(op.KeyBytes()) != tt.key || string(op.RangeBytes()) != tt.end || op.IsPrevKV() != d.PrevKV || warned != tt.warned {
			t.Errorf("del %s\n got [%q, %q), prev-kv %t, warned %t\nwant [%q, %q), %t, %t", tt.args, op.KeyBytes(), op.RangeBytes(), op.IsPrevKV(), warned, tt.key, tt.end, d.PrevKV, tt.warned)
		}
	}
}

func TestMistakes(t *testing.T) {
	get := func(args []string) (kv.Op, error) {
		var g request.Get
		return g.Op(parse(t, g.Register, args))
	}
	put := func(stdin io.Reader) func([]string) (kv.Op, error) {
		return func(args []string) (kv.Op, error) {
			var p request.Put
			return p.Op(parse(t, p.Register, args), stdin)
		}
	}
	refused := errors.New("thought better of it")
	del := func(args []string) (kv.Op, error) {
		var d request.Delete
		return d.Op(parse(t, d.Register, args), func(string, string) error { return refused })
	}
	for _, tt := range []struct {
		op   func([]string) (kv.Op, error)
		args string
		code int
		want string
	}{
		{get, "", exit.BadArgs, "get needs a key"},
		{get, "k --prefix --from-key", exit.BadArgs, "--prefix and --from-key"},
		{get, "k --keys-only --count-only", exit.BadArgs, "--keys-only and --count-only"},
		{get, "k z --prefix", exit.BadArgs, "too many arguments"},
		{get, "k --consistency=x", exit.BadFeature, `"x" for --consistency: use l`},
		{get, "k --order=UP", exit.BadFeature, `"UP" for --order: use ASCEND or DESCEND`},
		{get, "k --sort-by=COLOUR", exit.BadFeature, `"COLOUR" for --sort-by: use CREATE`},
		{get, "k --min-mod-rev=5 --max-mod-rev=3", exit.BadFeature, "--min-mod-rev 5 is above --max-mod-rev 3"},
		{get, "k --min-create-rev=5 --max-create-rev=3", exit.BadFeature, "--min-create-rev 5 is above --max-create-rev 3"},
		{put(nil), "", exit.BadArgs, "put needs a key"},
		{put(nil), "k", exit.BadArgs, "stdin is empty"},
		{put(strings.NewReader("")), "k", exit.BadArgs, "stdin is empty"},
		{put(iotest.ErrReader(io.ErrUnexpectedEOF)), "k", exit.BadArgs, io.ErrUnexpectedEOF.Error()},
		{put(nil), "k v --ignore-value", exit.BadArgs, "no value when --ignore-value"},
		{put(nil), "k v --lease=xyz", exit.BadArgs, `--lease: bad lease ID "xyz": want hexadecimal`},
		{put(nil), "k v --lease=8000000000000000", exit.BadArgs, "at most 7fffffffffffffff"},
		{del, "", exit.BadArgs, "del needs a key"},
		{del, "a b c", exit.BadArgs, "got 3 arguments"},
		{del, "k --prefix --from-key", exit.BadArgs, "--prefix and --from-key"},
		{del, "k z --prefix", exit.BadArgs, "too many arguments"},
		{del, "k z", exit.Failure, refused.Error()},
	} {
		_, err := tt.op(strings.Fields(tt.args))
		if err == nil || exit.Code(err) != tt.code || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q\n got error %v with exit status %d\nwant one with %q and exit status %d", tt.args, err, exit.Code(err), tt.want, tt.code)
		}
	}
}

func TestWatch(t *testing.T) {
	for _, tt := range []struct {
		args string
		key  string
		end  string
		rev  int64
		prev bool
		note bool
	}{
		{args: "k", key: "k"},
		{args: "k l", key: "k", end: "l"},
		{args: "k --prefix", key: "k", end: "l"},
		{args: "''", key: "\x00"},
		{args: "'' l", key: "\x00", end: "l"},
		{args: "'' --prefix", key: "\x00", end: "\x00"},
		{args: "k --rev=7 --prev-kv --progress-notify", key: "k", rev: 7, prev: true, note: true},
	} {
		var w request.Watch
		args := strings.Fields(tt.args)
		for i := range args {
			args[i] = strings.Trim(args[i], "'")
		}
		key, opts, err := w.Options(parse(t, w.Register, args))
		op := kv.OpWatch(key, opts...)
		if err != nil || op.Err() != nil || string(op.KeyBytes()) != tt.key || string(op.RangeBytes()) != tt.end || op.Rev() != tt.rev || op.IsPrevKV() != tt.prev || op.IsProgressNotify() != tt.note {
			t.Errorf("%s: got %+v, errors %v and %v; want %+v", tt.args, op, err, op.Err(), tt)
		}
	}
	for _, line := range []string{"", "k l m", "k l --prefix"} {
		var w request.Watch
		if _, _, err := w.Options(parse(t, w.Register, strings.Fields(line))); exit.Code(err) != exit.BadArgs {
			t.Errorf("%q: got %v, want exit status %d", line, err, exit.BadArgs)
		}
	}
}
