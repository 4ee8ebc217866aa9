# Oland and Raj (ICASSP 2015): parameters that five workers average after every epoch, quantized to the bits that their
# entropy tells. The paper reports 3.55 bits a value and a minor loss of accuracy.
common='--dataset mnist --activation tanh --workers 5 --exchange parameters --epochs 15 --batch 20 --lr 0.02
    --lr-decay 0.85 --timeout 600'
setting raw '' tcp_trainer local --codec raw --down-codec raw $common
against=raw
setting quant:floor=5 '' tcp_trainer local --codec quant:floor=5 --down-codec quant:floor=5 $common
