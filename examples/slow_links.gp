# Draws the time to accuracy against the rate of the links: slow_links.sh sets `data`, `count` and `figures`.
set terminal svg size 860,420 font 'sans-serif,13' background '#ffffff'
set grid xtics ytics lc '#cccccc' dt 1
set key outside right top Left reverse samplen 2 noenhanced
set output figures . '/slow-links.svg'
set xlabel 'rate of each link, Mbit/s'
set ylabel 'seconds to the accuracy of fp32'
set logscale xy
plot for [i = 0:count - 1] data index i using 1:2 title columnheader(1) with linespoints lw 2 pt 7 ps 0.5
