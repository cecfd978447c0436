package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// readFile returns the values in a file.
func readFile(name string, text []byte) (source, []error) {
	at := func(line int, key string) place {
		if name == "" {
			return place{strings.TrimSuffix(fmt.Sprintf("line %d: %s", line, key), ": "), true}
		}
		return place{strings.TrimSuffix(fmt.Sprintf("%s:%d: %s", name, line, key), ": "), true}
	}
	fail := func(err error) (source, []error) { return nil, []error{err} }
	syntax := func(err error) (source, []error) { // it has the line
		return fail(fmt.Errorf("config: %s: %w", cmp.Or(name, "the text"), err))
	}
	var doc, another yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil // it is empty
	} else if err != nil {
		return syntax(err)
	}
	if err := decoder.Decode(&another); err == nil {
		return fail(at(another.Line, "").errorf("a second document begins: there must be one"))
	} else if !errors.Is(err, io.EOF) {
		return syntax(err)
	}
	root := original(doc.Content[0])
	switch {
	case root.Tag == "!!null":
		return nil, nil
	case root.Kind != yaml.MappingNode:
		return fail(at(root.Line, "").errorf("it is not a mapping: write settings such as endpoints: [https://localhost:2379]"))
	}
	values := make(source)
	var errs []error
	for i := 0; i < len(root.Content); i += 2 {
		key, node := root.Content[i], root.Content[i+1]
		here := at(key.Line, key.Value)
		o, ok := byKey(strings.ToLower(key.Value)) // clientv3's files don't mind the case
		if !ok {
			errs = append(errs, unknownKey(here, key.Value))
			continue
		}
		v, err := toValue(node)
		if err != nil {
			errs = append(errs, here.errorf("%w", err))
			continue
		}
		if v == nil {
			continue
		}
		v.at = here
		if before, twice := values[o.key]; twice {
			errs = append(errs, here.errorf("%s sets the same: leave out one", before.at.text))
			continue
		}
		values[o.key] = *v
	}
	return values, errs
}

// toValue returns the value of a node, or nil for null.
func toValue(node *yaml.Node) (*value, error) {
	node = original(node)
	switch {
	case node.Tag == "!!null":
		return nil, nil //nolint:nilnil // null sets nothing
	case node.Kind == yaml.ScalarNode:
		return &value{text: node.Value, nano: true}, nil
	}
	var texts []string
	for _, n := range node.Content {
		n = original(n)
		if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
			return nil, fmt.Errorf("the value on line %d is not text: write one text", n.Line)
		}
		texts = append(texts, n.Value)
	}
	if node.Kind == yaml.SequenceNode {
		return &value{list: append([]string{}, texts...)}, nil
	}
	v := &value{mapping: make(map[string]string)}
	for i := 0; i < len(texts); i += 2 {
		if _, twice := v.mapping[texts[i]]; twice {
			return nil, fmt.Errorf("line %d has %s again: leave out one", node.Content[i].Line, texts[i])
		}
		v.mapping[texts[i]] = texts[i+1]
	}
	return v, nil
}

// original is what an alias (*name) stands for.
func original(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func unknownKey(at place, key string) error {
	plain := strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(key))
	if instead, ok := code[plain]; ok {
		return at.errorf("it can't be set in a file: %s", instead)
	}
	if near, ok := nearest(key, slices.Concat(options, clientv3s)); ok {
		return at.errorf("no such setting; did you mean %s?", near.key)
	}
	return at.errorf("no such setting: go doc github.com/getcd/getcd/config lists them")
}
