// Package rangecodec is gRPC's protobuf codec with another decoder for large answers to range
// requests. The generated decoder allocates three times for each key: its KeyValue, its key
// and its value. This one allocates twice for 16 keys.
//
// # What keeps what alive
//
// The KeyValues of a group of 16 are one array, and their keys and values are in one buffer.
// So a KeyValue that somebody keeps also keeps its group: 2 KiB of KeyValues and at most
// 16 KiB of keys and values, since a key or value above 512 bytes has memory of its own.
// Nothing keeps the message that was received.
//
// No key or value has capacity beyond its own bytes, so whoever appends to one appends to a copy.
//
// # The same as the generated decoder
//
// A message with anything but the fields that are known here, each with its wire type, is left
// to the generated decoder, so fields of a later etcd are kept as always, and errors are the
// same. FuzzDecode compares the two decoders.
package rangecodec

import (
	"reflect"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	standard "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// Option returns a call option with the codec. It is meant to come before all others, as a
// connection's default, so that a codec of the user's replaces it. A call with a content
// subtype has to go without it (Without). If the program has registered a codec of its own in
// place of gRPC's, the option does nothing.
func Option() grpc.CallOption {
	const own = "google.golang.org/grpc/encoding/proto"
	c := encoding.GetCodecV2(standard.Name) // nil if the one that is registered is an encoding.Codec
	if c == nil || reflect.Indirect(reflect.ValueOf(c)).Type().PkgPath() != own {
		return grpc.EmptyCallOption{}
	}
	return grpc.ForceCodecV2(codec{c})
}

// Without returns opts without the codec if a content subtype is among them: then gRPC looks
// for the codec under that name, unless a call option has one.
func Without(opts []grpc.CallOption) []grpc.CallOption {
	named := false
	for _, o := range opts {
		if _, ok := o.(grpc.ContentSubtypeCallOption); ok {
			named = true
		}
	}
	if !named {
		return opts
	}
	out := make([]grpc.CallOption, 0, len(opts))
	for _, o := range opts {
		if f, ok := o.(grpc.ForceCodecV2CallOption); ok && f.CodecV2 != nil {
			if _, ours := f.CodecV2.(codec); ours {
				continue
			}
		}
		out = append(out, o)
	}
	return out
}

// codec is the codec that it contains, but for Unmarshal and Name.
type codec struct{ encoding.CodecV2 }

// Name is empty, so that the content type stays application/grpc. The name of a codec in a
// call option would become a part of it.
func (codec) Name() string { return "" }

// least is the size in bytes of an answer from which on the decoder is worth its while.
const least = 1 << 10

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(proto.Message)
	switch v.(type) {
	case *pb.RangeResponse, *pb.RangeStreamResponse:
	default:
		ok = false
	}
	if !ok || data.Len() < least {
		return c.CodecV2.Unmarshal(data, v)
	}
	buf := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buf.Free()
	return unmarshal(buf.ReadOnlyData(), m)
}

// unmarshal is proto.Unmarshal for the two messages.
func unmarshal(b []byte, m proto.Message) error {
	done := false
	switch m := m.(type) {
	case *pb.RangeResponse:
		done = decodeRange(b, m)
	case *pb.RangeStreamResponse:
		done = decodePart(b, m)
	}
	if done {
		return nil
	}
	return proto.Unmarshal(b, m)
}
