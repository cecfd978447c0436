// Package etcdrpc lists the RPCs of etcd for tests that walk them. When a later etcd has
// another RPC, the tests of all tables that must know every RPC fail.
package etcdrpc

import (
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// stubs link the packages that have the services, and name the .proto packages.
var stubs = []protoreflect.FileDescriptor{pb.File_rpc_proto, v3lockpb.File_v3lock_proto, v3electionpb.File_v3election_proto}

// Method is one RPC.
type Method struct {
	// Name is what gRPC calls it: "/etcdserverpb.KV/Range".
	Name string
	// Desc has its types, and which of them is streamed.
	Desc protoreflect.MethodDescriptor
}

// Methods returns every method of every service in the packages of etcd's stubs. That
// includes services of .proto files that a later etcd adds to these packages.
func Methods() []Method {
	var found []Method
	for _, stub := range stubs {
		protoregistry.GlobalFiles.RangeFilesByPackage(stub.Package(), func(f protoreflect.FileDescriptor) bool {
			for i := range f.Services().Len() {
				s := f.Services().Get(i)
				for j := range s.Methods().Len() {
					m := s.Methods().Get(j)
					found = append(found, Method{"/" + string(s.FullName()) + "/" + string(m.Name()), m})
				}
			}
			return true
		})
	}
	return found
}

// Service is the last part of the service's name: "KV".
func (m Method) Service() string { return string(m.Desc.Parent().Name()) }

// Streams reports whether requests or responses are streamed.
func (m Method) Streams() bool { return m.Desc.IsStreamingClient() || m.Desc.IsStreamingServer() }

// Stream is what gRPC opens a stream of the method with.
func (m Method) Stream() *grpc.StreamDesc {
	return &grpc.StreamDesc{
		StreamName: string(m.Desc.Name()), ClientStreams: m.Desc.IsStreamingClient(), ServerStreams: m.Desc.IsStreamingServer(),
	}
}

// Request returns an empty request, of the type of etcd's stubs.
func (m Method) Request() proto.Message { return empty(m.Desc.Input()) }

// Response returns an empty response, of the type of etcd's stubs.
func (m Method) Response() proto.Message { return empty(m.Desc.Output()) }

func empty(d protoreflect.MessageDescriptor) proto.Message {
	typ, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		panic(err) // a message is linked in with its method
	}
	return typ.New().Interface()
}
