# Oland and Raj (ICASSP 2015): parameters that five workers average after every epoch, quantized to the bits that their
# entropy tells. Light L1 regularization keeps the entropy low. The paper reports 3.55 bits a value with c = 5, 3.78 bits
# with c = 6, and a minor loss of accuracy. The last setting is not in the paper: the workers send the change of
# their parameters since the last average.
common='--dataset mnist --activation tanh --workers 5 --epochs 50 --batch 20 --lr 0.02 --lr-decay 0.94 --l1 4e-5
    --timeout 600'
setting raw '' tcp_trainer local --codec raw --down-codec raw $common --exchange parameters
against=raw
setting quant:floor=5 '3.55 bits' tcp_trainer local --codec quant:floor=5 --down-codec quant:floor=5 $common \
    --exchange parameters
setting quant:floor=6 '3.78 bits' tcp_trainer local --codec quant:floor=6 --down-codec quant:floor=6 $common \
    --exchange parameters
goal=-0.1
setting 'quant:floor=2, changes' '' tcp_trainer local --codec quant:floor=2 --down-codec quant:floor=2 $common \
    --exchange changes
