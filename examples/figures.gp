# Draws the two plots of a row: figures.sh sets `data`, `count`, `row` and `figures`.
set terminal svg size 860,420 font 'sans-serif,13' background '#ffffff'
set grid xtics ytics lc '#cccccc' dt 1
set key outside right top Left reverse samplen 2 noenhanced
set title row noenhanced

set output figures . '/' . row . '-bits.svg'
set xlabel 'epoch'
set ylabel 'bits a value, from workers to the server'
set logscale y
plot for [i = 0:count - 1] data index i using 1:2 title columnheader(1) with lines lw 2

set output figures . '/' . row . '-accuracy.svg'
set xlabel 'megabytes that a worker has sent'
set ylabel 'accuracy, %'
unset logscale y
set logscale x
plot for [i = 0:count - 1] data index i using 3:4 title columnheader(1) with lines lw 2
