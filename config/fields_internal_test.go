package config

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// fieldsOf calls visit for each field of v that users can set, down to those of getcd's
// own structures, with its path, such as "Resolver.KeepOrder".
func fieldsOf(v reflect.Value, path string, visit func(path string, field reflect.Value)) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		switch {
		case !f.IsExported():
		case f.Type.Kind() == reflect.Struct:
			fieldsOf(v.Field(i), path+f.Name+".", visit)
		default:
			visit(path+f.Name, v.Field(i))
		}
	}
}

// kebab is the key that a field should have.
func kebab(path string) string {
	words := regexp.MustCompile(`[A-Z]+(?:[a-z]+|\b|$)|[A-Z]+`).FindAllString(strings.ReplaceAll(path, ".", "-"), -1)
	return strings.ToLower(strings.Join(words, "-"))
}

// Each field of client.Config is a setting, or has a reason not to be one.
func TestEachFieldIsASetting(t *testing.T) {
	clientv3Calls := map[string]string{
		"TLSFiles.Cert": "cert-file", "TLSFiles.Key": "key-file", "TLSFiles.CA": "trusted-ca-file", "Resolver.MinTTL": "resolver-min-ttl", "Resolver.MaxTTL": "resolver-max-ttl",
	}
	s := &settings{}
	keys := make(map[uintptr]string)
	for _, o := range options {
		keys[reflect.ValueOf(o.at(s)).Pointer()] = o.key
	}
	reasons := make(map[string]bool)
	fieldsOf(reflect.ValueOf(&s.Config).Elem(), "", func(path string, field reflect.Value) {
		key, ok := keys[field.Addr().Pointer()]
		_, inCode := code[strings.ToLower(path)]
		reasons[strings.ToLower(path)] = inCode
		want := kebab(path)
		if k, ok := clientv3Calls[path]; ok {
			want = k
		}
		switch {
		case !ok && !inCode:
			t.Errorf("client.Config.%s can't be set: give it a line in options and in doc.go, such as\n"+
				"\t{key: %q, at: func(s *settings) any { return &s.%s }},\nor a reason in code, if it has no text", path, want, path)
		case ok && inCode:
			t.Errorf("client.Config.%s is the setting %s, and has a reason not to be one", path, key)
		case ok && key != want:
			t.Errorf("client.Config.%s is the setting %s, want %s", path, key, want)
		}
	})
	others := []string{"tlsfiles", "routing", "resolver", "logconfig", "context"} // structures, and clientv3's
	for field := range code {
		if !reasons[field] && !slices.Contains(others, field) {
			t.Errorf("%q has a reason not to be a setting, and is no field", field)
		}
	}
}

// Each setting is in the documentation, with the name that etcdctl has for it, and
// can be stored.
func TestEachSettingIsDocumented(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	table := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		if row, ok := strings.CutPrefix(line, "//\t"); ok {
			keys, _, _ := strings.Cut(row, "  ")
			for key := range strings.SplitSeq(keys, ", ") {
				table[key] += row
			}
		}
	}
	for _, o := range options {
		row, ok := table[o.key]
		if !ok {
			t.Errorf("doc.go does not list %s", o.key)
		}
		if o.etcdctl != "" && !strings.Contains(row, "ETCDCTL_"+o.etcdctl) {
			t.Errorf("doc.go does not have ETCDCTL_%s at %s", o.etcdctl, o.key)
		}
		v := value{text: "1s"}
		field := o.at(&settings{})
		switch reflect.TypeOf(field).Elem().Kind() {
		case reflect.Bool:
			v.text = "true"
		case reflect.Int, reflect.Uint64:
			v.text = "7"
		case reflect.Map:
			v.text = "a=b"
		default:
		}
		if err := v.set(field); err != nil {
			t.Errorf("%s: %v", o.key, err)
		}
		if reflect.ValueOf(field).Elem().IsZero() {
			t.Errorf("%s sets nothing", o.key)
		}
		for _, not := range o.not {
			if other, ok := byKey(not); !ok || !slices.Contains(other.not, o.key) {
				t.Errorf("%s replaces %s, but not the reverse", o.key, not)
			}
		}
	}
}

// Names lead to one option each.
func TestNamesAreUnique(t *testing.T) {
	seen := make(map[string]bool)
	for _, o := range slices.Concat(options, clientv3s) {
		for _, name := range []string{o.key, o.old, o.etcdctl} {
			if name != "" && seen[name] {
				t.Errorf("%s is the name of two options", name)
			}
			seen[name] = true
		}
	}
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"file", "fiel", 1}, {"endpoint", "endpoints", 1}, {"ca", "abc", 3}, {"user", "usr", 1}, {"kitten", "sitting", 3},
	} {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("distance(%q, %q) is %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}
