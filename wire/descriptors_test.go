package wire_test

import (
	"testing"

	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/getcd/getcd/wire"
)

func TestDescriptorSet(t *testing.T) {
	files, err := protodesc.NewFiles(wire.DescriptorSet())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"etcdserverpb.KV", "v3lockpb.Lock", "v3electionpb.Election", "grpc.health.v1.Health", "mvccpb.KeyValue", "authpb.Permission"} {
		if _, err := files.FindDescriptorByName(protoreflect.FullName(name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
