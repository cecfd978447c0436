package wire

import (
	"strings"

	_ "go.etcd.io/etcd/api/v3/etcdserverpb" // for their descriptors
	_ "go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	_ "go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	_ "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// findMethod returns the descriptor of the RPC with that path,
// "/package.Service/Method" (gRPC over HTTP2, "Requests"), or nil if this program
// does not know it.
func findMethod(path string) protoreflect.MethodDescriptor {
	service, method, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if !ok {
		return nil
	}
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		return nil
	}
	s, ok := d.(protoreflect.ServiceDescriptor)
	if !ok {
		return nil
	}
	return s.Methods().ByName(protoreflect.Name(method))
}

// findMessage returns the descriptor of the message with that full name, or nil
// if this program does not know it.
func findMessage(name string) protoreflect.MessageDescriptor {
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
	if err != nil {
		return nil
	}
	m, _ := d.(protoreflect.MessageDescriptor)
	return m
}

// gatewayPath returns the path of the RPC in etcd's JSON gateway, from its
// google.api.http option. All rules have the form "post: path, body: *". It is
// empty if there is none.
func gatewayPath(d protoreflect.MethodDescriptor) string {
	if d == nil {
		return ""
	}
	rule, err := protoregistry.GlobalTypes.FindExtensionByName("google.api.http")
	if err != nil {
		return ""
	}
	opts := d.Options().ProtoReflect()
	if !opts.Has(rule.TypeDescriptor()) {
		return ""
	}
	http := opts.Get(rule.TypeDescriptor()).Message()
	return http.Get(http.Descriptor().Fields().ByName("post")).String()
}
