package textfmt

import (
	"slices"
	"strings"
)

// Nearest returns the known word that is most like a word, or "".
func Nearest(word string, known []string) string {
	if len(word) > 64 {
		return ""
	}
	known = slices.Sorted(slices.Values(known))
	w := foldWord(word)
	best, least := "", max(min(1, len(w)-1), len(w)/3)+1
	for _, k := range known {
		if d := editDistance(w, foldWord(k)); d < least {
			best, least = k, d
		}
	}
	if best != "" {
		return best
	}
	for _, k := range known { // certificates, host_name, http, notification
		f := foldWord(k)
		alike := strings.Contains(w, f) || strings.Contains(f, w) || len(w) > 3 && strings.HasPrefix(f, w[:4])
		if alike && len(f) > len(foldWord(best)) && len(w) > 2 && len(f) > 2 {
			best = k
		}
	}
	return best
}

// Misspelt returns the known word that a longer one is within two letters of, or "".
func Misspelt(word string, known []string) string {
	for _, k := range slices.Sorted(slices.Values(known)) {
		if len(word) > 5 && len(word) <= 64 && editDistance(word, k) <= 2 {
			return k
		}
	}
	return ""
}

// foldWord returns a word in lower case without separators.
func foldWord(s string) string {
	return strings.NewReplacer("_", "", "-", "", " ", "").Replace(strings.ToLower(s))
}

// editDistance returns the number of letters to change, add or leave out, or pairs to
// swap, to make a of b.
func editDistance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
