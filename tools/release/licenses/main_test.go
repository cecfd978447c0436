package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/getcd/getcd/tools/release/internal/fixture"
)

const mit = `The MIT License (MIT)

Copyright (c) 2026 Somebody

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in
all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED.
`

func TestIdentify(t *testing.T) {
	apache, err := os.ReadFile(filepath.Join("..", "..", "..", "LICENSE"))
	if err != nil {
		t.Fatal(err)
	}
	bsd2 := strings.Join(allowed["BSD-2-Clause"], ". ")
	bsd3 := strings.Join(allowed["BSD-3-Clause"], ". ")
	for _, test := range []struct {
		name, text string
		want       string // an error, if it has no name of a license
	}{
		{"Apache", string(apache), "Apache-2.0"},
		{"MIT", mit, "MIT"},
		{"BSD, 3 clauses", bsd3, "BSD-3-Clause"},
		{"BSD, 2 clauses", bsd2, "BSD-2-Clause"},
		{"two", mit + "\n" + bsd3, "BSD-3-Clause MIT"},
		{"BSD, 4 clauses", bsd3 + "\nAll advertising materials mentioning features or use of this software must …", "All advertising materials"},
		{"GPL", "GNU GENERAL PUBLIC\n  LICENSE Version 3", "GNU General Public License"},
		{"MIT, and the GPL for a part", mit + "The folder x is under the GNU Lesser General Public License.", "GNU Lesser General"},
		{"MIT with a condition", "“Commons Clause” License Condition v1.0\n" + mit, "Commons Clause"},
		{"a part of MIT", mit[:len(mit)/2], "none of the licenses"},
		{"nothing", "", "none of the licenses"},
	} {
		names, err := identify(test.text)
		got := strings.Join(names, " ")
		if err != nil {
			got = err.Error()
		}
		if got != test.want && (err == nil || !strings.Contains(got, test.want)) {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	fixture.Write(t, dir, "-- good/LICENSE --\n"+mit+"-- good/a/a.go --\npackage a\n-- good/b/license.go --\npackage b\n"+
		"-- none/none.go --\npackage none\n"+
		"-- part/LICENSE.md --\n"+mit+"-- part/theirs/COPYING --\nGNU Affero General Public License\n")
	at := func(name ...string) string { return filepath.Join(append([]string{dir}, name...)...) }
	roots := map[string]string{"good@v1": at("good"), "none@v1": at("none"), "part@v1": at("part")}
	linked := map[string][]string{"good@v1": {at("good", "a"), at("good", "b")}, "none@v1": {at("none")}, "part@v1": {at("part"), at("part", "theirs")}}
	var out bytes.Buffer
	err := check(linked, roots, &out)
	if got := strings.Fields(out.String()); !slices.Equal(got, []string{"1", "modules:", "MIT"}) {
		t.Errorf("printed %q", got)
	}
	const want = "none@v1: no license file\npart@v1: COPYING: it has the words \"GNU Affero General Public License\""
	if err == nil || err.Error() != want {
		t.Errorf("got error\n%v\nwant\n%s", err, want)
	}
	delete(linked, "part@v1") // its package there is not linked
	linked["part@v1"] = []string{at("part")}
	delete(linked, "none@v1")
	if err := check(linked, roots, &out); err != nil {
		t.Errorf("without what is not linked: %v", err)
	}
}
