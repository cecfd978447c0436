package main

import (
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/versionpb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// fields is a table of a message's fields: number, name, type and since when they are
// there come from the descriptor; what they mean from text, which has a line "name: meaning"
// for each, and no others.
func (p *page) fields(message, text string) (string, error) {
	if !strings.Contains(message, ".") {
		message = "etcdserverpb." + message
	}
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(message))
	if err != nil {
		return "", fmt.Errorf("%s: %w", message, err)
	}
	m, ok := d.(protoreflect.MessageDescriptor)
	if !ok {
		return "", fmt.Errorf("%s is no message", message)
	}
	meaning := make(map[string]string)
	for line := range strings.Lines(strings.TrimSpace(text)) {
		name, what, _ := strings.Cut(strings.TrimSpace(line), ": ")
		meaning[name] = what
	}
	var w strings.Builder
	fmt.Fprintf(&w, "\n`%s`", message) // on a line of its own: it would be a row of a table above
	if m.Fields().Len() == 0 {
		w.WriteString(" has no fields.\n")
		return w.String(), nil
	}
	w.WriteString("\n\n| no. | field | type | since | what it is |\n|---|---|---|---|---|\n")
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		what, ok := meaning[string(f.Name())]
		if !ok {
			return "", fmt.Errorf("%s: the page does not tell what %s is", message, f.Name())
		}
		delete(meaning, string(f.Name()))
		fmt.Fprintf(&w, "| %d | `%s` | %s | %s | %s |\n", f.Number(), f.Name(), typeOf(f), since(f), what)
	}
	for name := range meaning {
		return "", fmt.Errorf("%s has no field %s", message, name)
	}
	return w.String(), nil
}

func typeOf(f protoreflect.FieldDescriptor) string {
	t := f.Kind().String()
	switch {
	case f.Message() != nil:
		t = string(f.Message().Name())
	case f.Enum() != nil:
		t = string(f.Enum().Name())
	}
	if f.IsList() {
		t = "repeated " + t
	}
	if o := f.ContainingOneof(); o != nil && !o.IsSynthetic() {
		t += ", one of `" + string(o.Name()) + "`"
	}
	return t
}

// since is the version of etcd that brought the field, as its annotation or that of its
// message says; files without annotations say nothing.
func since(f protoreflect.FieldDescriptor) string {
	if v, _ := proto.GetExtension(f.Options(), versionpb.E_EtcdVersionField).(string); v != "" {
		return v
	}
	if v, _ := proto.GetExtension(f.ContainingMessage().Options(), versionpb.E_EtcdVersionMsg).(string); v != "" {
		return v
	}
	return "—"
}
