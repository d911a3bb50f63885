package night

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// The picture's measures, in its own units.
const (
	pictureWidth = 960
	panelHeight  = 260
	panelLeft    = 70
	panelWidth   = pictureWidth - panelLeft - 30
	panelPlot    = 190
)

// WriteSVG draws the night: who came in against the target, how long people waited, and whether early meant front.
func (r *Report) WriteSVG(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n",
		pictureWidth, 3*panelHeight+30)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/><text x="%d" y="20" font-size="15">%d persons, %d arrivals, seed %d</text>`+"\n",
		panelLeft, r.Persons, r.Arrivals, r.Seed)
	minutes := len(r.Minutes)
	top := r.Target * 60 * 1.1
	for _, m := range r.Minutes {
		top = max(top, float64(m.Called)*1.05)
	}
	p := panel{&b, 0, float64(max(minutes, 1)), top}
	p.frame("people a minute, by minutes since the opening", strconv.Itoa(minutes), fmt.Sprintf("%.0f", top))
	for i, m := range r.Minutes {
		p.bar(float64(i), float64(m.Admitted), "#4477aa")
	}
	p.line(minutes, func(i int) float64 { return float64(r.Minutes[i].Called) }, "#ee6677")
	p.line(minutes, func(i int) float64 { return r.Minutes[i].Health * r.Target * 60 }, "#228833")
	p.legend("came in", "#4477aa", "were called", "#ee6677", "target × health", "#228833")

	most := 1
	for _, n := range r.Waiting.PerMinute {
		most = max(most, n)
	}
	p = panel{&b, 1, float64(max(len(r.Waiting.PerMinute), 1)), float64(most)}
	p.frame(fmt.Sprintf("people by minutes waited for their turn (half of them at most %s, nine of ten %s)",
		r.Waiting.P50.Round(time.Minute), r.Waiting.P90.Round(time.Minute)), strconv.Itoa(len(r.Waiting.PerMinute)), strconv.Itoa(most))
	for i, n := range r.Waiting.PerMinute {
		p.bar(float64(i), float64(n), "#4477aa")
	}

	p = panel{&b, 2, 100, 1.2}
	p.frame(fmt.Sprintf("each tenth of the registered in each tenth of the line, 1 is even (chi-square: p = %.2f)", r.FairByArrival),
		"last tenth", "1.2")
	for i, row := range r.Tenths {
		for j, n := range row {
			p.bar(float64(i*10+j), float64(n)*100/float64(max(r.Registered, 1)), []string{"#4477aa", "#66ccee"}[i%2])
		}
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// panel is one of the pictures below each other, with the largest values of its axes.
type panel struct {
	b          *strings.Builder
	number     int
	across, up float64
}

func (p panel) x(v float64) float64 { return panelLeft + v/p.across*panelWidth }
func (p panel) y(v float64) float64 {
	return float64(30+p.number*panelHeight+30+panelPlot) - min(v/p.up, 1)*panelPlot
}

func (p panel) frame(title, right, top string) {
	fmt.Fprintf(p.b, `<text x="%d" y="%.0f">%s</text>`+"\n", panelLeft, p.y(p.up)-8, title)
	fmt.Fprintf(p.b, `<path d="M%d %.0fV%.0fH%d" fill="none" stroke="black"/>`+"\n", panelLeft, p.y(p.up), p.y(0), panelLeft+panelWidth)
	fmt.Fprintf(p.b, `<text x="%d" y="%.0f" text-anchor="end">%s</text><text x="%d" y="%.0f" text-anchor="end">0</text>`+"\n",
		panelLeft-6, p.y(p.up)+5, top, panelLeft-6, p.y(0)+4)
	fmt.Fprintf(p.b, `<text x="%d" y="%.0f" text-anchor="end">%s</text>`+"\n", panelLeft+panelWidth, p.y(0)+15, right)
}

func (p panel) bar(at, v float64, colour string) {
	fmt.Fprintf(p.b, `<rect x="%.1f" y="%.1f" width="%.2f" height="%.1f" fill="%s"/>`+"\n",
		p.x(at), p.y(v), p.x(1)-p.x(0), p.y(0)-p.y(v), colour)
}

func (p panel) line(n int, v func(int) float64, colour string) {
	var points strings.Builder
	for i := range n {
		fmt.Fprintf(&points, "%.1f,%.1f ", p.x(float64(i)+.5), p.y(v(i)))
	}
	fmt.Fprintf(p.b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.TrimSpace(points.String()), colour)
}

func (p panel) legend(namesAndColours ...string) {
	for i := 0; i+1 < len(namesAndColours); i += 2 {
		fmt.Fprintf(p.b, `<text x="%d" y="%.0f" fill="%s">%s</text>`+"\n", panelLeft+450+i*70, p.y(p.up)-8, namesAndColours[i+1], namesAndColours[i])
	}
}
