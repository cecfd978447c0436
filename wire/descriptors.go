package wire

import (
	"path"

	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// DescriptorSet returns what grpcurl and similar tools have to know about etcd's
// services, since etcd has no server reflection: the descriptors of its services
// and of gRPC's health service, and of everything that they import. Each file
// comes after its imports.
func DescriptorSet() *descriptorpb.FileDescriptorSet {
	set := &descriptorpb.FileDescriptorSet{}
	seen := make(map[string]bool)
	var add func(f protoreflect.FileDescriptor)
	add = func(f protoreflect.FileDescriptor) {
		if seen[f.Path()] {
			return
		}
		seen[f.Path()] = true
		p := protodesc.ToFileDescriptorProto(f)
		for i := range f.Imports().Len() {
			imported := f.Imports().Get(i).FileDescriptor
			if imported.IsPlaceholder() {
				// etcd's files import each other by their path in the repository,
				// but are registered without it.
				p.Dependency[i] = path.Base(imported.Path())
				var err error
				if imported, err = protoregistry.GlobalFiles.FindFileByPath(p.Dependency[i]); err != nil {
					continue
				}
			}
			add(imported)
		}
		set.File = append(set.File, p)
	}
	for _, name := range []string{"rpc.proto", "v3lock.proto", "v3election.proto", "grpc/health/v1/health.proto"} {
		if f, err := protoregistry.GlobalFiles.FindFileByPath(name); err == nil {
			add(f)
		}
	}
	return set
}
