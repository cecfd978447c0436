package gateway

import (
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// versions are the paths under which servers have the gateway: etcd 3.4 and later have
// /v3 (3.4 also /v3beta), 3.3 has /v3beta, 3.2 and earlier /v3alpha.
var versions = [...]string{"/v3", "/v3beta", "/v3alpha"}

// route is where a method is to be found.
type route struct {
	path string // behind the first of versions
	old  string // behind the others
}

// route finds the path of a method. It is the method's google.api.http option, in the
// descriptors that come with etcd's stubs, which a caller of the method has.
func (c *Conn) route(method string) (*route, error) {
	if r, ok := c.routes.Load(method); ok {
		return r.(*route), nil
	}
	service, name, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	d, _ := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service))
	s, ok := d.(protoreflect.ServiceDescriptor)
	if !ok {
		return nil, status.Errorf(codes.Unimplemented, "gateway: %s: its service is not known, so neither is its path in etcd's JSON gateway", method)
	}
	m := s.Methods().ByName(protoreflect.Name(name))
	if m == nil {
		return nil, status.Errorf(codes.Unimplemented, "gateway: %s: its service has no such method", method)
	}
	r := routeOf(m.Options())
	if r == nil {
		return nil, status.Errorf(codes.Unimplemented, "gateway: %s has no path in etcd's JSON gateway: it is served over gRPC alone", method)
	}
	c.routes.Store(method, r)
	return r, nil
}

// routeOf reads google.api.HttpRule by reflection (google/api/http.proto): post, and
// that of additional_bindings, which has the path that versions before 3.4 know.
func routeOf(options proto.Message) *route {
	var r *route
	options.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if f.FullName() != "google.api.http" {
			return true
		}
		rule := v.Message()
		fields := rule.Descriptor().Fields()
		post := func(m protoreflect.Message) string {
			return strings.TrimPrefix(m.Get(fields.ByName("post")).String(), versions[0])
		}
		r = &route{path: post(rule)}
		r.old = r.path
		if more := rule.Get(fields.ByName("additional_bindings")).List(); more.Len() > 0 {
			r.old = post(more.Get(0).Message())
		}
		return false
	})
	if r == nil || r.path == "" {
		return nil
	}
	return r
}

// at is the path on a server of that version.
func (r *route) at(version int32) string {
	if version == 0 {
		return versions[0] + r.path
	}
	return versions[version] + r.old
}
