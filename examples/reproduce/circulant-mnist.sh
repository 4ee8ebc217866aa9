# Araujo et al.: two convolution layers and three fully connected ones, of which the first two are dense or circulant. The
# paper's dense net has 280464 parameters and its circulant net 14224. The nets here have 177110 and 14038.
common='--dataset mnist --workers 2 --batch 32 --lr 0.02 --shift 1 --timeout 600'
dense='--net conv5x14-pool2-conv5x32-pool2-256-128-10 --epochs 8 --lr-decay 0.7'
circulant='--net conv5x14-pool2-conv5x32-pool2-circulant256-circulant128-10 --epochs 12 --lr-decay 0.78'
setting dense 99.14 tcp_trainer local $common $dense
setting circulant 98.55 tcp_trainer local $common $circulant
