package config

import (
	"errors"
	"fmt"
	"os"

	"github.com/getcd/getcd/client"
)

// Load returns the configuration in a file, with what the environment sets in its place. An
// empty name means no file. The error wraps that of the file system, or lists everything that
// is wrong with the settings. Load does not read the files that they name, and connects to
// nothing.
func Load(file string) (client.Config, error) {
	if file == "" {
		return Parse("", nil, os.Environ())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return client.Config{}, fmt.Errorf("config: %w", err)
	}
	return Parse(file, text, os.Environ())
}

// Parse is Load for a program that has the text of the file already, such as a part of
// its own configuration. Errors have the file's name, if it is not empty, and the line of text. environ is the environment as
// os.Environ returns it; nil means an empty one.
func Parse(name string, text []byte, environ []string) (client.Config, error) {
	s := &settings{from: make(map[string]place)}
	file, errs := readFile(name, text)
	for _, source := range []func() (source, []error){
		func() (source, []error) { return file, errs },
		func() (source, []error) { return readEtcdctl(environ) },
		func() (source, []error) { return readGetcd(environ) },
	} {
		values, wrong := source()
		s.errs = append(s.errs, wrong...)
		s.apply(values)
	}
	s.finish()
	if err := errors.Join(s.errs...); err != nil {
		return client.Config{}, err
	}
	return s.Config, nil
}
