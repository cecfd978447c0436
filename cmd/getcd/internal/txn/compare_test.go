package txn_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/cmd/getcd/internal/txn"
)

func TestParseCompare(t *testing.T) {
	version := func(n int64) *pb.Compare {
		return &pb.Compare{Target: pb.Compare_VERSION, TargetUnion: &pb.Compare_Version{Version: n}}
	}
	create := func(n int64) *pb.Compare {
		return &pb.Compare{Target: pb.Compare_CREATE, TargetUnion: &pb.Compare_CreateRevision{CreateRevision: n}}
	}
	mod := func(n int64) *pb.Compare {
		return &pb.Compare{Target: pb.Compare_MOD, TargetUnion: &pb.Compare_ModRevision{ModRevision: n}}
	}
	value := func(v string) *pb.Compare {
		return &pb.Compare{Target: pb.Compare_VALUE, TargetUnion: &pb.Compare_Value{Value: []byte(v)}}
	}
	lease := func(id int64) *pb.Compare {
		return &pb.Compare{Target: pb.Compare_LEASE, TargetUnion: &pb.Compare_Lease{Lease: id}}
	}
	for _, tt := range []struct {
		line   string
		key    string
		result pb.Compare_CompareResult
		want   *pb.Compare
	}{
		{`mod("k") > "0"`, "k", pb.Compare_GREATER, mod(0)},
		{`m("k") = "-1"`, "k", pb.Compare_EQUAL, mod(-1)},
		{`create("k") < "7"`, "k", pb.Compare_LESS, create(7)},
		{`c("k") != "7"`, "k", pb.Compare_NOT_EQUAL, create(7)},
		{`version("k") = "1"`, "k", pb.Compare_EQUAL, version(1)},
		{`ver("k") = "1"`, "k", pb.Compare_EQUAL, version(1)},
		{`value("a b") = "c\td"`, "a b", pb.Compare_EQUAL, value("c\td")},
		{`val("k)") = ""`, "k)", pb.Compare_EQUAL, value("")},
		{`lease("k") = "ff"`, "k", pb.Compare_EQUAL, lease(255)},
		{"val(`k\\`) = `a\\b`", `k\`, pb.Compare_EQUAL, value(`a\b`)},
		{`val( "k")   =   "v"   and more`, "k", pb.Compare_EQUAL, value("v")},
	} {
		want := tt.want
		want.Key, want.Result = []byte(tt.key), tt.result
		c, err := txn.ParseCompare(tt.line)
		if err != nil {
			t.Errorf("ParseCompare(%s): %v", tt.line, err)
			continue
		}
		if got := c.GetCompare(); !proto.Equal(got, want) {
			t.Errorf("ParseCompare(%s)\n got %v\nwant %v", tt.line, got, want)
		}
	}
}

func TestParseCompareSaysWhatIsWrong(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{`mod "k" > "0"`, `want target("key")`},
		{`mod(k) > "0"`, "key: want a string in double quotes"},
		{`mod("k\q") > "0"`, "key: want a string in double quotes"},
		{`mod("k" ) > "0"`, `want ")" right after the key`},
		{`mod("k")>"0"`, "want a space and an operator"},
		{`mod("k") `, "want an operator"},
		{`mod("k") >`, "want an operator"},
		{`mod("k") > 0`, "value: want a string in double quotes"},
		{`mod("k") > "0`, "value: want a string in double quotes"},
		{`mod("k") >= "0"`, "unknown operator >=: use =, !=, < or >"},
		{`mod("k") > "zero"`, `"zero" is not a 64-bit integer`},
		{`rev("k") > "0"`, "unknown target rev: use ver"},
		{`mod ("k") > "0"`, "unknown target mod : use ver"},
		{`lease("k") = "xyz"`, "hexadecimal"},
	} {
		_, err := txn.ParseCompare(tt.line)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.line) {
			t.Errorf("ParseCompare(%s)\n got error %v\nwant one with the line and %q", tt.line, err, tt.want)
		}
	}
}

// FuzzParseCompare checks the hand-written scanner against fmt's, which defines
// the grammar: %q, a parenthesis, %s, %q.
func FuzzParseCompare(f *testing.F) {
	for _, s := range []string{`"k") = "v"`, "`k`) = `v`", `"k" ) = "v"`, `"k")="v"`, ` "k")  !=  "v" x`, `"\x41") < "é"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, rest string) {
		if strings.ContainsAny(rest, "\n\r") || !utf8.ValidString(rest) {
			return // fmt has its own rules for line ends and for bytes that are not text
		}
		var key, op, value string
		n, err := fmt.Sscanf(rest, "%q) %s %q", &key, &op, &value)
		c, perr := txn.ParseCompare("val(" + rest)
		switch op {
		case "=", "!=", "<", ">":
		default:
			n = 0 // fmt does not know this form
		}
		if (n == 3 && err == nil) != (perr == nil) {
			t.Fatalf("ParseCompare(%q): error %v, while fmt finds %d operands: %v", "val("+rest, perr, n, err)
		}
		if perr != nil {
			return
		}
		got := c.GetCompare()
		if string(got.GetKey()) != key || string(got.GetValue()) != value {
			t.Fatalf("ParseCompare(%q)\n got key %q and value %q\nwant %q and %q", "val("+rest, got.GetKey(), got.GetValue(), key, value)
		}
	})
}
