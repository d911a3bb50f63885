package night

import "math"

// independent is the p-value of the chi-square test that rows and columns of a table have nothing to do with each other.
func independent(table [][]int) float64 {
	rows, columns, all := make([]float64, len(table)), make([]float64, len(table[0])), 0.
	for i, row := range table {
		for j, n := range row {
			rows[i] += float64(n)
			columns[j] += float64(n)
			all += float64(n)
		}
	}
	chi := 0.
	for i, row := range table {
		for j, n := range row {
			want := rows[i] * columns[j] / all
			chi += (float64(n) - want) * (float64(n) - want) / want
		}
	}
	return upperTail(chi, float64((len(rows)-1)*(len(columns)-1)))
}

// upperTail is how likely a chi-square of so many degrees of freedom is at least x: Wilson's and Hilferty's approximation,
// right to a few percent down to p-values of a millionth with the tens of degrees that are asked for here.
func upperTail(x, degrees float64) float64 {
	v := 2 / (9 * degrees)
	z := (math.Cbrt(x/degrees) - (1 - v)) / math.Sqrt(v)
	return math.Erfc(z/math.Sqrt2) / 2
}
