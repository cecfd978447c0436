package output

import (
	"strings"

	"github.com/clipperhouse/displaywidth"
)

// drawBox draws cells in a box as etcdctl does: the header is centered and in
// capitals, and the rows are aligned to the right. A cell may have several lines.
//
// etcdctl uses package tablewriter. That package is large, and it calls methods
// by names that are known only at run time, which makes the linker keep all
// methods of all types. TestTable compares the two.
func drawBox(p *page, header []string, rows [][]string) {
	table := [][][]string{make([][]string, 0, len(header))}
	for _, cell := range header {
		table[0] = append(table[0], lines(strings.ToUpper(strings.ReplaceAll(cell, "_", " "))))
	}
	for _, row := range rows {
		cells := make([][]string, len(header))
		for i, cell := range row {
			cells[i] = lines(cell)
		}
		table = append(table, cells)
	}
	width := make([]int, len(header))
	for _, row := range table {
		for i, cell := range row {
			for _, line := range cell {
				width[i] = max(width[i], columns(line))
			}
		}
	}
	rule := func(left, middle, right string) {
		dashes := make([]string, len(width))
		for i, w := range width {
			dashes[i] = strings.Repeat("─", w+2)
		}
		p.ln(left + strings.Join(dashes, middle) + right)
	}
	rule("┌", "┬", "┐")
	for n, row := range table {
		if n == 1 {
			rule("├", "┼", "┤")
		}
		drawRow(p, row, width, n == 0)
	}
	rule("└", "┴", "┘")
}

func drawRow(p *page, row [][]string, width []int, centered bool) {
	height := 1
	for _, cell := range row {
		height = max(height, len(cell))
	}
	for l := range height {
		for i, cell := range row {
			line := ""
			if l < len(cell) {
				line = cell[l]
			}
			left := width[i] - columns(line)
			right := 0
			if centered {
				left, right = left/2, left-left/2
			}
			p.f("│ %s%s%s ", strings.Repeat(" ", left), line, strings.Repeat(" ", right))
		}
		p.ln("│")
	}
}

// lines returns the lines of a cell that are not blank, without the spaces around
// them.
func lines(cell string) []string {
	var out []string
	for line := range strings.Lines(strings.ReplaceAll(cell, "\t", "    ")) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

// columns returns the width of s on a terminal, rune by rune.
func columns(s string) int {
	n := 0
	for _, r := range s {
		n += displaywidth.Rune(r)
	}
	return n
}
