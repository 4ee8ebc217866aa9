# Draws one kind of values: figures.sh sets `data`, `figure` and `kind`. Codecs have solid lines, and the compressors of
# the literature have dashed ones. The least possible error of Gaussian values is Shannon's.
set terminal svg size 860,520 font 'sans-serif,13' background '#ffffff'
set output figure
set title kind
set xlabel 'bits a value'
set ylabel 'squared error / squared norm'
set xrange [0:5]
set yrange [1e-5<*:2]
set logscale y
set format y '10^{%T}'
set grid xtics ytics lc '#cccccc' dt 1
set key outside right top Left reverse samplen 2
set pointsize 0.8
set style line 1 lc '#d62728' pt 7 lw 2
set style line 2 lc '#ff7f0e' pt 5
set style line 3 lc '#1f77b4' pt 9 lw 2
set style line 4 lc '#17becf' pt 11
set style line 5 lc '#2ca02c' pt 13
set style line 6 lc '#000000' pt 4 dt 2
set style line 7 lc '#8c6d31' pt 6 dt 2
set style line 8 lc '#555555' pt 8 dt 2
set style line 9 lc '#e377c2' pt 12 dt 2
set style line 10 lc '#a0522d' pt 5
set style line 11 lc '#9467bd' pt 15
lines = "'quant:rate=B' 'quant:bits=N' 'quant:rotate=1,rate=B' 'quant:rotate=1,bits=N' 'factor:rank=R,value=8' \
         'top-k of 4096' 'min-max of 512' 'EDEN' 'EDEN, least error'"
points = "ternary sensing"
plot for [i = 1:9] data index word(lines, i) title word(lines, i) with linespoints ls i, \
     for [i = 1:2] data index word(points, i) title word(points, i) with points ls 9 + i, \
     kind eq 'gaussian' ? 2 ** (-2 * x) : NaN title (kind eq 'gaussian' ? 'least possible' : '') with lines lc '#000000'
