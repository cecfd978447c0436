package main

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// allowed are the licenses that a dependency may have: they ask for their text to be
// kept, and for nothing of the programs that link it. A license has all its sentences.
var allowed = map[string][]string{
	"Apache-2.0": {
		"Apache License Version 2.0, January 2004",
		"TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION",
		"each Contributor hereby grants to You a perpetual, worldwide, non-exclusive, no-charge, royalty-free, irrevocable copyright license to reproduce, prepare Derivative Works of, publicly display, publicly perform, sublicense, and distribute the Work and such Derivative Works in Source or Object form",
		"9. Accepting Warranty or Additional Liability",
	},
	"BSD-2-Clause": {redistribution, redistributionSource, redistributionBinary, asIs},
	"BSD-3-Clause": {
		redistribution, redistributionSource, redistributionBinary, asIs,
		"may be used to endorse or promote products derived from this software without specific prior written permission",
	},
	"ISC": {
		"Permission to use, copy, modify, and",
		"distribute this software for any purpose with or without fee is hereby granted, provided that the above copyright notice and this permission notice appear in all copies",
		"AND THE AUTHOR DISCLAIMS ALL WARRANTIES WITH REGARD TO THIS SOFTWARE",
	},
	"MIT": {
		"Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files (the Software), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to the following conditions",
		"The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software",
		"AS IS, WITHOUT WARRANTY OF ANY KIND",
	},
}

const (
	redistribution       = "Redistribution and use in source and binary forms, with or without modification, are permitted provided that the following conditions are met"
	redistributionSource = "Redistributions of source code must retain the above copyright notice, this list of conditions and the following disclaimer"
	redistributionBinary = "Redistributions in binary form must reproduce the above copyright notice, this list of conditions and the following disclaimer in the documentation and/or other materials provided with the distribution"
	asIs                 = "AS IS AND ANY EXPRESS OR IMPLIED WARRANTIES"
)

// refused are words of licenses and conditions that ask for more, which may stand
// beside one that is allowed.
var refused = []string{
	"GNU General Public License", "GNU Lesser General Public License", "GNU Library General Public License",
	"GNU Affero General Public License", "Mozilla Public License", "Eclipse Public License", "Server Side Public License",
	"Business Source License", "Commons Clause", "Elastic License", "non-commercial",
	"All advertising materials mentioning features", // BSD with four clauses
}

var between = regexp.MustCompile(`[^a-z0-9]+`)

// plain drops what differs between copies of the same text: case, lines, punctuation.
func plain(text string) string {
	return " " + strings.TrimSpace(between.ReplaceAllString(strings.ToLower(text), " ")) + " "
}

// identify returns the names of the licenses in a license file; all must be allowed.
func identify(text string) ([]string, error) {
	text = plain(text)
	for _, words := range refused {
		if strings.Contains(text, plain(words)) {
			return nil, fmt.Errorf("it has the words %q", words)
		}
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(allowed)) {
		if !slices.ContainsFunc(allowed[name], func(sentence string) bool { return !strings.Contains(text, plain(sentence)) }) {
			names = append(names, name)
		}
	}
	if slices.Contains(names, "BSD-3-Clause") { // whose text has that of the other
		names = slices.DeleteFunc(names, func(n string) bool { return n == "BSD-2-Clause" })
	}
	if len(names) == 0 {
		return nil, errors.New("it is none of the licenses that are allowed")
	}
	return names, nil
}
