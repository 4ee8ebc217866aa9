# Draws h against rho for each codec with 4 workers, and the bounds below which it pays: homomorphic.sh sets `points`,
# `count`, `slopes` (for 1, 2, 4 and 8 workers), `link` and `figures`.
set terminal svg size 860,480 font 'sans-serif,13' background '#ffffff'
set grid xtics ytics lc '#cccccc' dt 1
set key outside right top Left reverse samplen 2 noenhanced
set output figures . '/homomorphic.svg'
set title 'a step is faster than with plain fp32 below the line; ' . link . ' Mbit/s'
set xlabel 'rho: bytes / bytes of plain fp32'
set ylabel 'h: computing / computing of plain fp32'
set logscale xy
set xrange [0.002:1.5]
set yrange [0.05:100]
bound(slope, rho) = rho < 1 ? 1 + slope * (1 - rho) : 1
plot for [i = 1:4] bound(word(slopes, i), x) title sprintf('bound, workers: %d', 2 ** (i - 1)) with lines lw 2, \
     for [i = 0:count - 1] points index i using 1:2 title columnheader(1) with points pt i + 1 lw 2 lc 'black'
