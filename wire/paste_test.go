package wire_test

import (
	"bytes"
	"os/exec"
	"slices"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/getcd/getcd/wire"
)

// Whatever is in a request, a shell makes one command of its line, whose body is the
// request, by what curl and grpcurl know of it.
func TestLinesForAShell(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skipf("NOT RUN: there is no shell: %v", err)
	}
	files, err := protodesc.NewFiles(wire.DescriptorSet())
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"foo", "it's", "$(touch x)`y`", "\"\\\n\r\t", "a\u202eb\x1b[2J", "\xff\xfe\x00", "-d", ""} {
		for path, request := range map[string]proto.Message{
			"/etcdserverpb.KV/Put":      &pb.PutRequest{Key: []byte(text), Value: []byte(text), Lease: 1 << 60},
			"/etcdserverpb.KV/Range":    &pb.RangeRequest{Key: []byte(text), RangeEnd: []byte(text), SortOrder: pb.RangeRequest_DESCEND},
			"/etcdserverpb.KV/Txn":      &pb.TxnRequest{Compare: []*pb.Compare{{Key: []byte(text), Target: pb.Compare_VALUE, TargetUnion: &pb.Compare_Value{Value: []byte(text)}}}},
			"/etcdserverpb.Watch/Watch": &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{Key: []byte(text), StartRevision: -1}}},
		} {
			for _, format := range []wire.Format{wire.Curl, wire.Grpcurl} {
				var line bytes.Buffer
				if err := wire.DecodeHTTP2(&line, wire.Options{Format: format, Secrets: true}, strings.NewReader(ask(path, 1, encode(request))), nil); err != nil {
					t.Fatal(err)
				}
				args := commandOf(t, line.String())
				at := slices.Index(args, "-d")
				if at < 0 || at+1 == len(args) {
					t.Fatalf("%s has no body", &line)
				}
				got := request.ProtoReflect().New().Interface()
				if err := protojson.Unmarshal([]byte(args[at+1]), got); err != nil || !proto.Equal(got, request) {
					t.Errorf("%sgot the body %v, want %v (%v)", &line, got, request, err)
				}
				if format == wire.Curl {
					continue
				}
				method, err := files.FindDescriptorByName(protoreflect.FullName(strings.ReplaceAll(args[len(args)-1], "/", ".")))
				if err != nil {
					t.Fatalf("%s: %v", &line, err)
				}
				m := dynamicpb.NewMessage(method.(protoreflect.MethodDescriptor).Input())
				if err := protojson.Unmarshal([]byte(args[at+1]), m); err != nil {
					t.Errorf("%s: %v", &line, err)
				}
			}
		}
	}
}

// commandOf is what a shell would run last of a line, with its arguments.
func commandOf(t *testing.T, line string) []string {
	t.Helper()
	show := `curl() { printf '%s\0' curl "$@"; }; grpcurl() { printf '%s\0' grpcurl "$@"; }; getcd() { :; }; `
	out, err := exec.CommandContext(t.Context(), "sh", "-c", show+line).CombinedOutput()
	if err != nil {
		t.Fatalf("%s%v: %s", line, err, out)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}
