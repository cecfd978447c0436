package rangecodec

import (
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	standard "google.golang.org/grpc/encoding/proto"
)

// users is a protobuf codec of a program's, which need not be a pointer as gRPC's is.
type users struct{ encoding.CodecV2 }

// usersOld is one of the older kind.
type usersOld struct{ encoding.Codec }

func (usersOld) Name() string { return standard.Name }

// A codec that a program has registered in place of gRPC's stays in use.
func TestRegisteredCodec(t *testing.T) {
	original := encoding.GetCodecV2(standard.Name)
	defer encoding.RegisterCodecV2(original)
	if f, ok := Option().(grpc.ForceCodecV2CallOption); !ok || f.CodecV2 != (codec{original}) {
		t.Errorf("with gRPC's codec: %#v, want the codec", Option())
	}
	encoding.RegisterCodecV2(users{original})
	if o, ok := Option().(grpc.EmptyCallOption); !ok {
		t.Errorf("with a user's codec: %#v, want an option that does nothing", o)
	}
	encoding.RegisterCodecV2(&users{original})
	if o, ok := Option().(grpc.EmptyCallOption); !ok {
		t.Errorf("with a pointer to a user's codec: %#v, want an option that does nothing", o)
	}
	encoding.RegisterCodec(usersOld{})
	if o, ok := Option().(grpc.EmptyCallOption); !ok {
		t.Errorf("with a user's codec of the older kind: %#v, want an option that does nothing", o)
	}
}
